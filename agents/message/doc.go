// Package message is the language of the mesh: the envelope of the protocol, its strict decoder, the
// binary form in which it travels through Redis, error codes, and the Handler and Middleware types that
// both sides of Redis share. It imports nothing of the mesh.
package message
