package message

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// timeFormat is RFC 3339 with milliseconds, UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// AppendJSON appends the envelope that clients receive. Unknown members and the payload stand in it byte
// for byte as they came. There is no session in it: a Message has none.
func (m *Message) AppendJSON(dst []byte) []byte {
	dst = appendString(append(dst, `{"type":`...), m.Type)
	if m.ID != "" {
		dst = appendString(append(dst, `,"id":`...), m.ID)
	}
	dst = appendAddress(dst, `,"from":`, m.From)
	dst = appendAddress(dst, `,"to":`, m.To)
	if m.Text != "" || ruleOf(m.Type).text {
		dst = appendString(append(dst, `,"message":`...), m.Text)
	}
	if m.Game != "" {
		dst = appendString(append(dst, `,"game":`...), m.Game)
	}
	if m.Payload != nil {
		dst = append(append(dst, `,"payload":`...), m.Payload...)
	}
	if len(m.Extra) > 0 {
		dst = append(append(dst, ','), m.Extra...)
	}
	if !m.Time.IsZero() {
		dst = append(dst, `,"time":"`...)
		dst = append(m.Time.UTC().AppendFormat(dst, timeFormat), '"')
	}
	if m.Seq > 0 {
		dst = strconv.AppendInt(append(dst, `,"seq":`...), m.Seq, 10)
		dst = appendString(append(dst, `,"epoch":`...), m.Epoch)
	}
	return append(dst, '}')
}

func appendAddress(dst []byte, name string, a Address) []byte {
	if a.ID == "" {
		return dst
	}
	dst = appendString(append(append(dst, name...), `{"type":`...), a.Type)
	dst = appendString(append(dst, `,"id":`...), a.ID)
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil { // not UTF-8: only a program's own message can be that; the text is repaired
		return dst
	}
	return dst
}

// Standing says where a history stands after a Login or JoinRoom.
type Standing struct {
	Seq    int64  // of the newest message; 0 means there has been none
	Epoch  string // the life of the history
	Oldest int64  // of the oldest message that is kept; Seq+1 means none is
	Gap    bool   // the replay could not begin where the client stood
}

func (s Standing) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `"seq":`...), s.Seq, 10)
	dst = appendString(append(dst, `,"epoch":`...), s.Epoch)
	dst = strconv.AppendInt(append(dst, `,"oldest":`...), s.Oldest, 10)
	return strconv.AppendBool(append(dst, `,"gap":`...), s.Gap)
}

// AppendAck appends the Ack for the message with the given id, which may be empty. r adds the seq that a
// room message got.
func AppendAck(dst []byte, ref string, r Result) []byte {
	dst = appendRef(append(dst, `{"type":"Ack"`...), ref)
	if r.Seq > 0 {
		dst = strconv.AppendInt(append(dst, `,"seq":`...), r.Seq, 10)
		dst = appendString(append(dst, `,"epoch":`...), r.Epoch)
	}
	return append(dst, '}')
}

// AppendStandingAck appends the Ack of a Login or JoinRoom. global is nil for a room.
func AppendStandingAck(dst []byte, ref string, own Standing, global *Standing) []byte {
	dst = appendRef(append(dst, `{"type":"Ack"`...), ref)
	dst = own.append(append(dst, ','))
	if global != nil {
		dst = append(global.append(append(dst, `,"global":{`...)), '}')
	}
	return append(dst, '}')
}

// AppendError appends the Error envelope for the message with the given id, which may be empty.
func AppendError(dst []byte, ref string, e *Error) []byte {
	dst = appendRef(append(dst, `{"type":"Error"`...), ref)
	dst = appendString(append(dst, `,"code":`...), string(e.Code))
	if e.Field != "" {
		dst = appendString(append(dst, `,"field":`...), e.Field)
	}
	dst = appendString(append(dst, `,"message":`...), e.Message)
	dst = strconv.AppendBool(append(dst, `,"retry":`...), e.Retry)
	if e.RetryAfter > 0 {
		ms := int64((e.RetryAfter + time.Millisecond - 1) / time.Millisecond)
		dst = strconv.AppendInt(append(dst, `,"retry_after_ms":`...), ms, 10)
	}
	return append(dst, '}')
}

// AppendPresence appends who joined, left, is a member of or is online in a room; nil lists are left out.
func AppendPresence(dst []byte, room string, joined, left, members, online []string) []byte {
	dst = appendAddress(append(dst, `{"type":"Presence"`...), `,"to":`, Address{Type: ChatRoom, ID: room})
	dst = appendList(dst, `,"joined":[`, joined)
	dst = appendList(dst, `,"left":[`, left)
	dst = appendList(dst, `,"members":[`, members)
	dst = appendList(dst, `,"online":[`, online)
	return append(dst, '}')
}

// AppendPong appends the answer to Ping.
func AppendPong(dst []byte, ref string, bound bool) []byte {
	dst = appendRef(append(dst, `{"type":"Pong"`...), ref)
	return append(strconv.AppendBool(append(dst, `,"bound":`...), bound), '}')
}

// AppendLogout appends the farewell before a connection is closed.
func AppendLogout(dst []byte, reason string) []byte {
	return append(appendString(append(dst, `{"type":"Logout","reason":`...), reason), '}')
}

func appendRef(dst []byte, ref string) []byte {
	if ref == "" {
		return dst
	}
	return appendString(append(dst, `,"ref":`...), ref)
}

func appendList(dst []byte, name string, list []string) []byte {
	if list == nil {
		return dst
	}
	dst = append(dst, name...)
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}
