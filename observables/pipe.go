package observables

// Pipe2 applies two operators in a row. These functions exist because a method of Stream cannot change its
// type parameter.
func Pipe2[A, B, C any](s Stream[A], f Op[A, B], g Op[B, C]) Stream[C] { return g(f(s)) }

// Pipe3 applies three operators in a row.
func Pipe3[A, B, C, D any](s Stream[A], f Op[A, B], g Op[B, C], h Op[C, D]) Stream[D] {
	return h(g(f(s)))
}

// Pipe4 applies four operators in a row.
func Pipe4[A, B, C, D, E any](s Stream[A], f Op[A, B], g Op[B, C], h Op[C, D], i Op[D, E]) Stream[E] {
	return i(h(g(f(s))))
}

// Pipe5 applies five operators in a row.
func Pipe5[A, B, C, D, E, F any](s Stream[A], f Op[A, B], g Op[B, C], h Op[C, D], i Op[D, E], j Op[E, F]) Stream[F] {
	return j(i(h(g(f(s)))))
}
