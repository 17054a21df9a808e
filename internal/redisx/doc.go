// Package redisx opens Redis for the mesh: one client type for a single server, Sentinel and Cluster
// from one URL, with settings under which nothing is executed twice behind our back; the embedded
// server that `serve` uses when no Redis is given; and scripts sent by the batch.
package redisx
