package rx_test
import ("testing";"fmt";"github.com/agentmesh/agentmesh/internal/bench/rx";"os";"strconv")
func TestZZ(t *testing.T){
	k,_:=strconv.Atoi(os.Getenv("K")); s,_:=strconv.Atoi(os.Getenv("S")); if s==0{s=1}
	for range 5 {
		c:=rx.Measure(rx.Observables(t.Context(), rx.Shape{Operators:k,Subscribers:s}),1,4_000_000)
		fmt.Println(c.Wall.Nanoseconds(), c.CPU.Nanoseconds(), c.Allocs)
	}
}
