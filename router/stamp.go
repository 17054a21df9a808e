package router

import "strconv"

// Stamp adds seq and epoch to a finished JSON object: `{"a":1}` becomes `{"a":1,"seq":7,"epoch":"E"}`. The
// epoch is one of ours and needs no escaping. body is not written to; what is no object comes back as it is.
func Stamp(body []byte, seq int64, epoch string) []byte {
	end := len(body) - 1
	for end >= 0 && (body[end] == ' ' || body[end] == '\n' || body[end] == '\r' || body[end] == '\t') {
		end--
	}
	if end < 1 || body[end] != '}' {
		return body
	}
	out := make([]byte, 0, end+len(epoch)+40)
	out = append(out, body[:end]...)
	if last := lastByte(body[:end]); last != '{' {
		out = append(out, ',')
	}
	out = append(out, `"seq":`...)
	out = strconv.AppendInt(out, seq, 10)
	out = append(out, `,"epoch":"`...)
	out = append(out, epoch...)
	return append(out, `"}`...)
}

// lastByte is the last byte that is not white space. In front of a closing brace it is { only when the
// object is empty: a string ends in a quotation mark.
func lastByte(b []byte) byte {
	for i := len(b) - 1; i >= 0; i-- {
		if c := b[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	return 0
}
