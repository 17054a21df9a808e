package jobs

// Lanes is how many lanes hold something.
func (b *Broker) Lanes() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.lanes)
}

var (
	ParseEnvelope  = parseEnvelope
	AppendEnvelope = appendEnvelope
	IDLess         = idLess
)
