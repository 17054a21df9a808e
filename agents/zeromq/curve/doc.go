// Package curve is CurveZMQ (RFC 26 over ZMTP 3.1, RFC 25): authentication and encryption of a ZeroMQ
// connection, around a net.Conn as crypto/tls is. It interoperates with libzmq.
//
// # Usage
//
// A server and a client give their ends of a connection to Server and Client and shake hands:
//
//	conn := curve.Server(tcp, curve.ServerConfig{
//		Secret: secret, Cookies: cookies, // of the server, not of the connection
//		Authorise: trusted, Metadata: curve.SocketMetadata("ROUTER", "lobby-1"),
//	})
//	if err := conn.Handshake(ctx); err != nil {
//		tcp.Close()
//		return err
//	}
//
// Metadata stands in for READY of mechanism NULL, so a server that has a say in who comes, for instance
// because a routing id is taken, has it in Authorise, which sees the client's metadata; a RefusedError with
// code "300" sends a client away without a word, to try again. After the handshake there are two ways on.
//
// The simple one: conn is a net.Conn that carries ZMTP of mechanism NULL. The greeting and READY that are
// written to it are taken off, a greeting and a READY with the peer's metadata are read from it, and so are
// frames, commands like PING among them. Each Write of many frames is one write below.
//
// The fast one, for those with a frame codec of their own: read the frames of conn.NetConn and pass each
// through conn.Opener, which opens it in the buffer where it lies; let conn.Sealer append each frame that is
// to be sent to the buffer that is written.
//
//	flags, body, err := opener.Open(header.flags, buf[start:end]) // body is a part of buf
//	out, err = sealer.AppendFrame(out, flags, body)               // in place of header and body
//
// A limit on bodies is a limit of Overhead more on what is read; SealedSize tells what a body takes.
//
// # Ordering and concurrency
//
// Frames arrive in the order in which they were sealed; one that is lost, repeated or changed on the way ends
// the connection. One goroutine may read while another writes. Handshake comes before either.
//
// # Strangers
//
// No command of the handshake is longer than 17 KB, and its size is checked before it is read. A HELLO that
// was not made for the server's key costs one multiplication on the curve, about 35 µs, and no answer; what a
// server must know between HELLO and INITIATE is in a cookie. A long frame allocates as its bytes arrive.
// Recorded commands are of no use on another connection, nor twice on the same. Bound the handshake in time
// with its context and in number outside.
//
// # Keys
//
// Keys are written in Z85 (RFC 32) and kept in the certificate files of czmq and pyzmq. A SecretKey does not
// show itself in logs and errors, and no error of this package quotes what it could not parse as a key.
//
// # Closing
//
// Close closes the connection below. Nothing is held back by Write but the start of a frame without its end.
//
// # Testing
//
// net.Pipe makes a connection, GenerateKeyPair the keys, AnyKey admits everybody.
package curve
