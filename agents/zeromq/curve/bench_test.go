package curve_test

import (
	"bufio"
	"fmt"
	"io"
	"testing"

	"golang.org/x/crypto/nacl/box"
)

var sizes = []int{64, 256, 4096, 65536}

// BenchmarkSealOpen is both ends of one frame, without a connection.
func BenchmarkSealOpen(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			server, client := pair(b)
			body := make([]byte, size)
			header := 2
			if size > 200 {
				header = 9
			}
			var out []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = client.Sealer().AppendFrame(out[:0], 0, body)
				if _, _, err := server.Opener().Open(out[0], out[header:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSeal is one end.
func BenchmarkSeal(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			_, client := pair(b)
			body := make([]byte, size)
			var out []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = client.Sealer().AppendFrame(out[:0], 0, body)
			}
		})
	}
}

// BenchmarkNaClBox is what sealing would cost with box of x/crypto.
func BenchmarkNaClBox(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			var nonce [24]byte
			var key [32]byte
			body, out := make([]byte, 1+size), make([]byte, 0, size+100)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				out = box.SealAfterPrecomputation(out[:0], body, &nonce, &key)
			}
		})
	}
}

// BenchmarkLoopback is the NULL stream from one end to the other, over TCP.
func BenchmarkLoopback(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			server, client := pair(b)
			done := make(chan error, 1)
			one := frame(0, make([]byte, size))
			go func() {
				_, err := open(server)
				if err == nil {
					_, err = io.CopyN(io.Discard, onlyReader{server}, int64(b.N*len(one)))
				}
				done <- err
			}()
			if _, err := open(client); err != nil {
				b.Fatal(err)
			}
			w := bufio.NewWriterSize(client, 32<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := w.Write(one); err != nil {
					b.Fatal(err)
				}
			}
			w.Flush()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

type onlyReader struct{ io.Reader }

// BenchmarkHandshake is both ends, over TCP.
func BenchmarkHandshake(b *testing.B) {
	for b.Loop() {
		server, client := pair(b)
		server.Close()
		client.Close()
	}
}
