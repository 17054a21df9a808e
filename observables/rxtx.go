package observables

// RxTx is a two-way link: a stream of what arrives, and OnNext for what is to leave.
type RxTx[R, T any] struct {
	Stream[R]
	send func(T) error
}

// NewRxTx makes a link of its halves; send must be safe for concurrent use if OnNext is called so.
func NewRxTx[R, T any](arriving Stream[R], send func(T) error) RxTx[R, T] {
	return RxTx[R, T]{Stream: arriving, send: send}
}

// OnNext sends v.
func (x RxTx[R, T]) OnNext(v T) error { return x.send(v) }
