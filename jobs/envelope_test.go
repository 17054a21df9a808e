package jobs_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

func sample() jobs.Job {
	return jobs.Job{
		ID: "id", Key: "key\x00", Attempt: 3, Hops: 2, Created: time.UnixMilli(1700000000000).UTC(), Deadline: time.UnixMilli(1800000000000).UTC(),
		Message: &message.Message{Type: "ChatMessage", ID: "1", From: message.Address{Type: message.User, ID: "u"}, Text: "x", Payload: []byte("\xff\x00")},
	}
}

func TestEnvelopeKeepsTheJob(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]jobs.Job{"full": sample(), "empty": {Message: &message.Message{}}} {
		got, err := jobs.ParseEnvelope(jobs.AppendEnvelope(nil, &j))
		if err != nil || !reflect.DeepEqual(got, j) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, j)
		}
	}
}

func FuzzParseEnvelope(f *testing.F) {
	j := sample()
	f.Add(jobs.AppendEnvelope(nil, &j))
	f.Add([]byte{})
	f.Add([]byte{2})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := jobs.ParseEnvelope(data)
		if err != nil {
			return
		}
		again, err := jobs.ParseEnvelope(jobs.AppendEnvelope(nil, &j))
		if err != nil || !reflect.DeepEqual(again, j) {
			t.Errorf("%+v became %+v, %v", j, again, err)
		}
	})
}
