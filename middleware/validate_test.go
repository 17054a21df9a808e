package middleware_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
)

const moveSchema = `{
	"type": "object",
	"required": ["at"],
	"properties": {
		"at": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 7}, "minItems": 2, "maxItems": 2},
		"say": {"type": "string", "maxLength": 10}
	},
	"additionalProperties": false
}`

func TestValidate(t *testing.T) {
	t.Parallel()
	mw, err := middleware.Validate(map[string]string{message.GameAction: moveSchema})
	if err != nil {
		t.Fatal(err)
	}
	h := mw(handler(nil))
	for payload, field := range map[string]string{
		`{"at":[0,7]}`:                "",
		`{"at":[1.0,7e0],"say":"hi"}`: "",
		`{"at":[0,8]}`:                "payload.at.1",
		`{"at":[0,"secret"]}`:         "payload.at.1",
		`{"at":[0,0.5]}`:              "payload.at.1",
		`{"at":[0]}`:                  "payload.at",
		`{}`:                          "payload",
		`{"at":[0,0],"secret":1}`:     "payload",
		`{"at":[0,0],"say":"a secret, far too long"}`: "payload.say",
		`null`:                                "payload",
		`{"at":[0`:                            "payload",
		``:                                    "payload",
		`{"at":[0,1e999999999]}`:              "payload",
		`{"at":[0,1E-999999999999999999999]}`: "payload",
	} {
		err := h.Handle(t.Context(), &message.Message{Type: message.GameAction, Payload: []byte(payload)})
		var refused *message.Error
		switch {
		case field == "" && err != nil:
			t.Errorf("%s: %v", payload, err)
		case field == "":
		case !errors.As(err, &refused) || refused.Code != message.BadRequest || refused.Field != field:
			t.Errorf("%s: got %v, want BadRequest of %s", payload, err, field)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error tells the content: %v", payload, err)
		}
	}
	if err := h.Handle(t.Context(), &message.Message{Type: "Other", Payload: []byte(`"anything"`)}); err != nil {
		t.Errorf("a type without a schema: %v", err)
	}
}

func TestValidateSchemas(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"no JSON":   `{`,
		"no schema": `{"type": 7}`,
		"a file":    `{"$ref": "file:///etc/hostname"}`,
		"the web":   `{"$ref": "https://example.com/schema.json"}`,
	} {
		if _, err := middleware.Validate(map[string]string{"Move": schema}); err == nil || !strings.Contains(err.Error(), "Move") {
			t.Errorf("%s: got %v, want an error that names the type", name, err)
		}
	}
}
