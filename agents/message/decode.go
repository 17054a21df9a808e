package message

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The limits of an envelope, in bytes, levels and units.
const (
	MaxMessage   = 64 << 10  // default of the largest envelope
	HardMessage  = 192 << 10 // the most that may be configured
	MaxID        = 64        // `id`
	MaxName      = 128       // ids of users, rooms and games
	MaxSession   = 256
	MaxType      = 64
	MaxEpoch     = 64
	MaxDepth     = 64 // the envelope itself is 1
	maxInteger   = 1<<53 - 1
	maxTopFields = 256
)

// Decode reads one envelope that a client sent, strictly: what two JSON readers could understand
// differently is refused. It returns the message and, apart from it, the session. The error is always an
// *Error whose Field names the member at fault. max is the largest envelope in bytes; 0 means MaxMessage.
//
// The message shares data's memory for Payload and Extra; data must not be changed afterwards.
func Decode(data []byte, max int) (*Message, Credential, error) {
	if max == 0 {
		max = MaxMessage
	}
	if len(data) > max {
		return nil, Credential{}, &Error{Code: TooLarge, Message: "the message is larger than this agent takes"}
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.input.reset(data)
	d.json.Reset(&d.input.Buffer, jsontext.AllowDuplicateNames(true))
	d.data, d.text = slices.Clip(data), string(data)
	if err := d.envelope(); err != nil {
		if d.m != nil {
			err.Ref = d.m.ID
		}
		return nil, Credential{}, err
	}
	return d.m, d.credential, nil
}

// decoder holds what one Decode needs. It works on tokens and not by reflection, because it must name the
// member at fault, keep unknown members and the payload byte for byte, and cut the session out.
type decoder struct {
	input      input
	json       *jsontext.Decoder
	data       []byte
	text       string // data once more: what strings of the message share
	m          *Message
	credential Credential

	seen        uint32 // known members that came, a bit each
	within      int    // levels above the member being read
	foreign     string // the first agent-only member that came
	names       []string
	epoch       []byte
	since       []byte
	sinceGlobal []byte
}

// input is a bytes.Buffer whose content the JSON decoder reads in place.
type input struct{ bytes.Buffer }

func (in *input) reset(data []byte) { in.Buffer = *bytes.NewBuffer(data) }

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.json = jsontext.NewDecoder(&d.input.Buffer)
	return d
}}

func (d *decoder) release() {
	names := d.names[:0]
	clear(d.names)
	in, js := d.input, d.json
	*d = decoder{input: in, json: js, names: names}
	d.input.reset(nil)
	decoders.Put(d)
}

// members that Decode knows, in the order of their bits.
var members = [...]string{
	"type", "id", "from", "to", "message", "game", "payload", "since", "since_global", "epoch", "epoch_global",
	"time", "seq",
	"ref", "code", "reason", "retry", "retry_after_ms", "members", "joined", "left", "gap", "oldest", "bound", "session",
}

const firstAgentOnly = 13

const (
	fType = iota
	fID
	fFrom
	fTo
	fMessage
	fGame
	fPayload
	fSince
	fSinceGlobal
	fEpoch
	fEpochGlobal
)

func (d *decoder) has(field int) bool { return d.seen&(1<<field) != 0 }

func (d *decoder) envelope() *Error {
	if d.json.PeekKind() != '{' {
		if _, err := d.json.ReadToken(); err != nil {
			return d.syntax("", err)
		}
		return bad("", "the message must be one JSON object")
	}
	if _, err := d.json.ReadToken(); err != nil {
		return d.syntax("", err)
	}
	d.m, d.within = &Message{}, 1
	for d.json.PeekKind() != '}' {
		name, err := d.key("")
		if err != nil {
			return err
		}
		if err := d.member(name); err != nil {
			return err
		}
	}
	if _, err := d.json.ReadToken(); err != nil {
		return d.syntax("", err)
	}
	if _, err := d.json.ReadToken(); !errors.Is(err, io.EOF) {
		return bad("", "there is something after the JSON object")
	}
	return d.check()
}

func (d *decoder) member(name string) *Error {
	field := lookup(name, members[:])
	if field < 0 {
		return d.unknown(name)
	}
	if d.has(field) {
		return bad(members[field], "it is given twice")
	}
	d.seen |= 1 << field
	if field >= firstAgentOnly {
		if d.foreign == "" {
			d.foreign = members[field]
		}
		_, err := d.raw(members[field], false)
		return err
	}
	var err *Error
	switch field {
	case fType:
		d.m.Type, err = d.id("type", MaxType)
	case fID:
		d.m.ID, err = d.id("id", MaxID)
	case fFrom:
		err = d.from()
	case fTo:
		d.m.To, err = d.to()
	case fMessage:
		d.m.Text, err = d.str("message")
	case fGame:
		d.m.Game, err = d.id("game", MaxName)
	case fPayload:
		d.m.Payload, err = d.raw("payload", true)
		d.m.Payload = slices.Clip(d.m.Payload)
	case fSince:
		d.since, err = d.raw("since", false)
	case fSinceGlobal:
		d.sinceGlobal, err = d.raw("since_global", false)
	case fEpoch:
		d.epoch, err = d.raw("epoch", false)
	case fEpochGlobal:
		d.m.SinceGlobal.Epoch, err = d.id("epoch_global", MaxEpoch)
	default: // time and seq are the agent's
		_, err = d.raw(members[field], false)
	}
	return err
}

// unknown carries a member through that belongs to the application.
func (d *decoder) unknown(name string) *Error {
	for _, known := range members {
		if strings.EqualFold(name, known) {
			return bad(name, "the name is written "+known)
		}
	}
	for _, n := range d.names {
		if n == name {
			return bad(name, "it is given twice")
		}
	}
	if len(d.names) == maxTopFields {
		return bad(name, "there are too many fields")
	}
	d.names = append(d.names, name)
	value, err := d.raw(name, false)
	if err != nil {
		return err
	}
	if d.m.Extra != nil {
		d.m.Extra = append(d.m.Extra, ',')
	}
	d.m.Extra, _ = jsontext.AppendQuote(d.m.Extra, name) // valid UTF-8: the decoder has read it
	d.m.Extra = append(append(d.m.Extra, ':'), value...)
	return nil
}

func (d *decoder) from() *Error {
	a, err := d.address("from", true)
	if err != nil {
		return err
	}
	if a.Type != User {
		return bad("from.type", "only users speak; it must be User")
	}
	d.m.From = a
	return nil
}

func (d *decoder) to() (Address, *Error) {
	a, err := d.address("to", false)
	if err == nil && a.Type != User && a.Type != ChatRoom {
		err = bad("to.type", "it must be User or ChatRoom")
	}
	return a, err
}

var addressMembers = [...]string{"type", "id", "session"}

// addressPaths are the full names of addressMembers, so that a good message costs no concatenation.
var addressPaths = map[string]*[len(addressMembers)]string{
	"from": {"from.type", "from.id", "from.session"},
	"to":   {"to.type", "to.id", "to.session"},
}

// address reads {"type":…,"id":…} and, in `from`, the session, which goes its own way from here on.
func (d *decoder) address(field string, session bool) (a Address, err *Error) {
	if d.json.PeekKind() != '{' {
		if _, err := d.raw(field, false); err != nil {
			return a, err
		}
		return a, bad(field, "it must be an object with type and id")
	}
	if _, err := d.json.ReadToken(); err != nil {
		return a, d.syntax(field, err)
	}
	d.within = 2
	var seen [len(addressMembers)]bool
	var names []string
	for d.json.PeekKind() != '}' {
		name, err := d.key(field)
		if err != nil {
			return a, err
		}
		i := lookup(name, addressMembers[:])
		if i < 0 {
			full := field + "." + name
			for _, known := range addressMembers {
				if strings.EqualFold(name, known) {
					return a, bad(full, "the name is written "+known)
				}
			}
			for _, n := range names {
				if n == full {
					return a, bad(full, "it is given twice")
				}
			}
			if len(names) == maxTopFields {
				return a, bad(full, "there are too many fields")
			}
			names = append(names, full)
			if _, err := d.raw(full, false); err != nil { // dropped: the agent rebuilds addresses
				return a, err
			}
			continue
		}
		full := addressPaths[field][i]
		if seen[i] {
			return a, bad(full, "it is given twice")
		}
		seen[i] = true
		switch {
		case i == 0:
			a.Type, err = d.addressType(full)
		case i == 1:
			a.ID, err = d.id(full, MaxName)
		case session:
			d.credential.token, err = d.token(full)
		default:
			err = bad(full, "a session belongs into from")
		}
		if err != nil {
			return a, err
		}
	}
	if _, err := d.json.ReadToken(); err != nil {
		return a, d.syntax(field, err)
	}
	d.within = 1
	if !seen[0] {
		return a, bad(addressPaths[field][0], "it is missing")
	}
	if !seen[1] {
		return a, bad(addressPaths[field][1], "it is missing")
	}
	return a, nil
}

func (d *decoder) addressType(field string) (string, *Error) {
	s, err := d.str(field)
	switch s {
	case User:
		return User, err
	case ChatRoom:
		return ChatRoom, err
	}
	return s, err
}

// check holds the envelope against the rule of its type.
func (d *decoder) check() *Error {
	m := d.m
	if !d.has(fType) {
		return bad("type", "it is missing")
	}
	r := ruleOf(m.Type)
	if r.agentOnly {
		return bad("type", "only agents send it")
	}
	switch {
	case d.foreign != "":
		return bad(d.foreign, "only agents set it")
	case r.to == refused && d.has(fTo):
		return bad("to", "this type goes to everyone and takes no address")
	case (r.to == User || r.to == ChatRoom) && !d.has(fTo):
		return bad("to", "it is missing")
	case (r.to == User || r.to == ChatRoom) && m.To.Type != r.to:
		return bad("to.type", "for this type it must be "+r.to)
	case r.text && !d.has(fMessage):
		return bad("message", "it is missing")
	case r.game && !d.has(fGame):
		return bad("game", "it is missing")
	case r.game && !d.has(fPayload):
		return bad("payload", "it is missing")
	}
	if !r.position {
		m.SinceGlobal = Position{}
		return nil
	}
	return d.positions()
}

func (d *decoder) positions() (err *Error) {
	if d.has(fEpoch) {
		if d.m.Since.Epoch, err = d.name("epoch", d.epoch, MaxEpoch); err != nil {
			return err
		}
	}
	if d.has(fSince) {
		d.m.Since.Known = true
		if d.m.Since.Seq, err = integer("since", d.since); err != nil {
			return err
		}
	}
	if d.has(fSinceGlobal) {
		d.m.SinceGlobal.Known = true
		if d.m.SinceGlobal.Seq, err = integer("since_global", d.sinceGlobal); err != nil {
			return err
		}
	}
	return nil
}

// integer reads digits only: 1e3 and 1.0 are integers to some readers and not to others.
func integer(field string, raw []byte) (int64, *Error) {
	var n int64
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, bad(field, "it must be an integer from 0 to 2^53-1, written plainly")
		}
		if n = n*10 + int64(c-'0'); n > maxInteger {
			return 0, bad(field, "it must be an integer from 0 to 2^53-1")
		}
	}
	return n, nil
}

// key reads a member's name.
func (d *decoder) key(parent string) (string, *Error) {
	v, err := d.json.ReadValue()
	if err != nil {
		return "", d.syntax(parent, err)
	}
	return d.unquote(d.inside(v)), nil
}

// inside finds the value that was read last in data, from where it is up to data's end in capacity.
func (d *decoder) inside(v []byte) []byte {
	end := d.json.InputOffset()
	return d.data[end-int64(len(v)) : end]
}

func lookup(name string, list []string) int {
	for i, s := range list {
		if name == s {
			return i
		}
	}
	return -1
}

// id reads a string of 1 to max bytes without control characters.
func (d *decoder) id(field string, max int) (string, *Error) {
	v, err := d.raw(field, false)
	if err != nil {
		return "", err
	}
	return d.name(field, v, max)
}

func (d *decoder) name(field string, raw []byte, max int) (string, *Error) {
	if raw[0] != '"' {
		return "", bad(field, "it must be a string")
	}
	s := d.unquote(raw)
	return s, validName(field, s, max)
}

func validName(field, s string, max int) *Error {
	switch {
	case len(s) == 0 || len(s) > max:
		return bad(field, "it must be 1 to "+strconv.Itoa(max)+" bytes long")
	case hasControl(s):
		return bad(field, "it must not hold control characters")
	}
	return nil
}

// ValidName says what keeps s from being the id of a user, room or game; nil if nothing does.
func ValidName(s string) error {
	switch {
	case len(s) == 0 || len(s) > MaxName:
		return errors.New("must be 1 to 128 bytes long")
	case !utf8.ValidString(s):
		return errors.New("must be valid UTF-8")
	case hasControl(s):
		return errors.New("must not hold control characters")
	}
	return nil
}

// token reads the session. It must not come back in an error, not even in part.
func (d *decoder) token(field string) (string, *Error) {
	v, err := d.raw(field, false)
	if err != nil {
		return "", err
	}
	if v[0] != '"' {
		return "", bad(field, "it must be a string")
	}
	s := d.unquote(v)
	if len(s) == 0 || len(s) > MaxSession {
		return "", bad(field, "it must be 1 to 256 bytes long")
	}
	return s, nil
}

func (d *decoder) str(field string) (string, *Error) {
	v, err := d.raw(field, false)
	if err != nil {
		return "", err
	}
	if v[0] != '"' {
		return "", bad(field, "it must be a string")
	}
	return d.unquote(v), nil
}

// raw reads any value and returns its bytes inside data. In an application's payload duplicate keys are
// the application's business.
func (d *decoder) raw(field string, payload bool) ([]byte, *Error) {
	v, err := d.json.ReadValue()
	if err != nil {
		return nil, d.syntax(field, err)
	}
	raw := d.inside(v)
	if raw[0] != '{' && raw[0] != '[' {
		return raw, nil
	}
	if depth(raw) > MaxDepth-d.within {
		return nil, bad(field, "it is nested too deeply")
	}
	if !payload && !jsontext.Value(raw).IsValid() {
		return nil, bad(field, "a key is given twice inside it")
	}
	return raw, nil
}

// depth counts the levels of a valid JSON value.
func depth(v []byte) int {
	level, deepest := 0, 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '{', '[':
			if level++; level > deepest {
				deepest = level
			}
		case '}', ']':
			level--
		case '"':
			for i++; v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
		}
	}
	return deepest
}

// unquote gives the text of raw, a valid JSON string inside data.
func (d *decoder) unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		start := cap(d.data) - cap(raw)
		return d.text[start+1 : start+len(raw)-1]
	}
	s, _ := jsontext.AppendUnquote(nil, raw) // valid: the decoder has read it
	return string(s)
}

// hasControl finds C0, DEL and C1 characters in valid UTF-8.
func hasControl(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == 0x7f || (c == 0xc2 && s[i+1] < 0xa0) {
			return true
		}
	}
	return false
}

func (d *decoder) syntax(field string, err error) *Error {
	switch {
	case !utf8.Valid(d.data):
		return bad(field, "the message is not valid UTF-8")
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return bad(field, "the JSON ends too early")
	}
	return bad(field, "this is not valid JSON")
}

func bad(field, sentence string) *Error {
	return &Error{Code: BadRequest, Field: clip(field), Message: sentence}
}

// clip bounds what a client's own field name adds to the answer.
func clip(field string) string {
	if len(field) <= MaxName {
		return field
	}
	cut := MaxName
	for cut > 0 && !utf8.RuneStart(field[cut]) {
		cut--
	}
	return field[:cut] + "…"
}
