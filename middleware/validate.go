package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Validate refuses a message whose payload does not fit the JSON Schema of its type with BadRequest and the
// member at fault; what type has no schema is not looked at. A schema without $schema is of draft 2020-12.
// It must stand by itself: a $ref to somewhere else is an error here, nothing is loaded.
//
// It parses each payload once more. Numbers with an exponent beyond 400, which few programs can read, are
// refused: to compare them exactly would take very long.
func Validate(schemas map[string]string) (message.Middleware, error) {
	compiled := make(map[string]*jsonschema.Schema, len(schemas))
	for typ, text := range schemas {
		s, err := compile(text)
		if err != nil {
			return nil, fmt.Errorf("middleware: the schema of %s: %w", typ, err)
		}
		compiled[typ] = s
	}
	return func(next message.Handler) message.Handler {
		return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			if s := compiled[m.Type]; s != nil {
				if err := validate(s, m.Payload); err != nil {
					return err
				}
			}
			return next.Handle(ctx, m)
		})
	}, nil
}

func compile(text string) (*jsonschema.Schema, error) {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	const name = "mem:///schema.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // knows no scheme: the default reads files
	if err := c.AddResource(name, schema); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// validate says what is wrong with a payload. Of its content only names of members are told.
func validate(s *jsonschema.Schema, payload []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return &message.Error{Code: message.BadRequest, Field: "payload", Message: "this is not JSON"}
	}
	if !readable(value) {
		return &message.Error{Code: message.BadRequest, Field: "payload", Message: "a number is too large or too small"}
	}
	err = s.Validate(value)
	if err == nil {
		return nil
	}
	refusal := &message.Error{Code: message.BadRequest, Field: "payload", Message: "this does not fit the schema of its type"}
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		for len(invalid.Causes) > 0 {
			invalid = invalid.Causes[0]
		}
		if field := strings.Join(append([]string{"payload"}, invalid.InstanceLocation...), "."); len(field) <= maxField {
			refusal.Field = field
		}
	}
	return refusal
}

// maxField bounds what is told of names that the client has chosen.
const maxField = 200

// maxExponent is somewhat more than a float64 has.
const maxExponent = 400

// readable reports whether all numbers in v can be compared in reasonable time.
func readable(v any) bool {
	switch v := v.(type) {
	case json.Number:
		_, exponent, has := strings.Cut(strings.ToLower(v.String()), "e")
		n, err := strconv.Atoi(exponent)
		return !has || err == nil && -maxExponent <= n && n <= maxExponent
	case []any:
		for _, item := range v {
			if !readable(item) {
				return false
			}
		}
	case map[string]any:
		for _, item := range v {
			if !readable(item) {
				return false
			}
		}
	}
	return true
}
