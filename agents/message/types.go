package message

// The types that the protocol knows. Applications register their own with a Mux.
const (
	DirectMessage   = "DirectMessage"
	ChatRoomMessage = "ChatRoomMessage"
	GlobalMessage   = "GlobalMessage"
	GameAction      = "GameAction"

	Login     = "Login"
	Logout    = "Logout" // both ways
	JoinRoom  = "JoinRoom"
	LeaveRoom = "LeaveRoom"
	Who       = "Who"
	Ping      = "Ping"

	Ack      = "Ack"      // agent → client only, as are those below
	Err      = "Error"    //
	Presence = "Presence" //
	Pong     = "Pong"     //
)

// rule says what an envelope of a type must and must not hold.
type rule struct {
	agentOnly bool
	to        string // the required address type; refused; optional
	text      bool   // `message` is required
	game      bool   // `game` and `payload` are required
	position  bool   // `since` and `epoch` are the client's own
}

const (
	optional = "optional"
	refused  = "refused"
)

// ruleOf gives the rule of a type; a type that the protocol does not know may hold anything.
func ruleOf(typ string) rule {
	switch typ {
	case DirectMessage:
		return rule{to: User, text: true}
	case ChatRoomMessage:
		return rule{to: ChatRoom, text: true}
	case GlobalMessage:
		return rule{to: refused, text: true}
	case GameAction:
		return rule{to: optional, game: true}
	case JoinRoom:
		return rule{to: ChatRoom, position: true}
	case LeaveRoom, Who:
		return rule{to: ChatRoom}
	case Login:
		return rule{to: optional, position: true}
	case Ack, Err, Presence, Pong:
		return rule{agentOnly: true}
	default:
		return rule{to: optional}
	}
}

// The reasons of a Logout.
const (
	SessionInvalid  = "SessionInvalid"
	SessionExpired  = "SessionExpired"
	SessionRevoked  = "SessionRevoked"
	SessionMismatch = "SessionMismatch"
	Requested       = "Requested"
	Replaced        = "Replaced"
	Drain           = "Drain"
)
