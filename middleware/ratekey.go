package middleware

import "github.com/agentmesh/agentmesh/agents/message"

// PerUser has each sender pay for all that he sends.
func PerUser(m *message.Message) (string, bool) { return m.From.ID, true }

// PerConnection has each connection pay for all that comes over it, whoever is behind it; what came over none,
// as a job, is free.
func PerConnection(m *message.Message) (string, bool) { return m.Conn, m.Conn != "" }

// PerRoom has each sender pay for each room by itself; what goes to no room is free.
func PerRoom(m *message.Message) (string, bool) {
	return m.From.ID + "\x00" + m.To.ID, m.To.Type == message.ChatRoom
}

// PerGame has each sender pay for each game by itself; what belongs to no game is free.
func PerGame(m *message.Message) (string, bool) {
	return m.From.ID + "\x00" + m.Game, m.Game != ""
}

// PerType has each sender pay for each type of message by itself.
func PerType(m *message.Message) (string, bool) { return m.From.ID + "\x00" + m.Type, true }
