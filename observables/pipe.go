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

// Pipe6 applies six operators in a row.
func Pipe6[A, B, C, D, E, F, G any](s Stream[A], f Op[A, B], g Op[B, C], h Op[C, D], i Op[D, E], j Op[E, F], k Op[F, G]) Stream[G] {
	return k(j(i(h(g(f(s))))))
}

// Pipe7 applies seven operators in a row.
func Pipe7[A, B, C, D, E, F, G, H any](s Stream[A], f Op[A, B], g Op[B, C], h Op[C, D], i Op[D, E], j Op[E, F], k Op[F, G], l Op[G, H]) Stream[H] {
	return l(k(j(i(h(g(f(s)))))))
}

// Pipe8 applies eight operators in a row.
func Pipe8[A, B, C, D, E, F, G, H, I any](s Stream[A], f Op[A, B], g Op[B, C], h Op[C, D], i Op[D, E], j Op[E, F], k Op[F, G], l Op[G, H], m Op[H, I]) Stream[I] {
	return m(l(k(j(i(h(g(f(s))))))))
}
