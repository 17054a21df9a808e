// Package ends plays the roles of a measurement over any socket that sends and receives one message at a
// time. What the roles are, the command zmq says.
package ends
