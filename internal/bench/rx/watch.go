package rx

import (
	"context"

	"github.com/agentmesh/agentmesh/internal/telemetry"
)

// watched is an agent's real metrics.
type watched struct {
	telemetry.Side

	m *telemetry.Metrics
}

// In implements Watch.
func (w watched) In(typ string) { w.m.In(typ) }

// Metrics makes the metrics of an agent, as `serve --metrics` has them.
func Metrics() Watch {
	m := telemetry.NewMetrics([]string{"ChatRoomMessage"}, func(context.Context, *telemetry.State) {})
	return watched{m.Side(telemetry.Client), m}
}
