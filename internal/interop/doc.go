// Package interop holds agentmesh against Very Powerful Agents, the Python package powerful-agents 0.0.4, and
// against libzmq, in processes of their own.
//
// The same scenarios run with each router, broker and echo server (ours, and the real Python ones, which pins
// that a scenario demands what Python does) and with each kind of client: libzmq sockets, which see
// exact frames, sockets of ours, and agents of the real package. Very Powerful Agents comes from the package
// index, by .ci/vpa, or from a checkout that AGENTMESH_VPA names.
package interop
