package observables

// Overflow says what a full buffer does with the next item.
type Overflow uint8

// The overflow policies. Only Block can slow a publisher.
const (
	Block      Overflow = iota // the publisher waits for room
	DropOldest                 // the oldest queued item makes room
	DropNewest                 // the new item is dropped
	Fail                       // the subscription ends with ErrOverflow
)

// String gives the policy's name.
func (o Overflow) String() string {
	switch o {
	case Block:
		return "Block"
	case DropOldest:
		return "DropOldest"
	case DropNewest:
		return "DropNewest"
	case Fail:
		return "Fail"
	}
	return "Overflow(?)"
}

const defaultBuffer = 1024

// Config is the buffer between a publisher and one subscription.
type Config struct {
	Buffer   int      // items queued at most; 0 means 1024
	Overflow Overflow // zero value: Block
}

func (c *Config) setDefaults() {
	if c.Buffer <= 0 {
		c.Buffer = defaultBuffer
	}
	if c.Overflow > Fail {
		c.Overflow = Block
	}
}
