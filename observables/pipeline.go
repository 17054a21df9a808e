package observables

// Pipeline is a chain of operators to keep and to apply to more than one stream. It is a value: Pipe
// returns another.
type Pipeline[A, B any] struct{ op Op[A, B] }

// NewPipeline begins a pipeline with op.
func NewPipeline[A, B any](op Op[A, B]) Pipeline[A, B] { return Pipeline[A, B]{op} }

// Pipe adds operators that keep the type. Then adds one that changes it.
func (p Pipeline[A, B]) Pipe(ops ...Op[B, B]) Pipeline[A, B] {
	return Pipeline[A, B]{func(s Stream[A]) Stream[B] { return p.op(s).Pipe(ops...) }}
}

// Transform gives the pipeline as one operator.
func (p Pipeline[A, B]) Transform() Op[A, B] { return p.op }

// Then adds an operator that changes the type.
func Then[A, B, C any](p Pipeline[A, B], op Op[B, C]) Pipeline[A, C] {
	return Pipeline[A, C]{func(s Stream[A]) Stream[C] { return op(p.op(s)) }}
}
