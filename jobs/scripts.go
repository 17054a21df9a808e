package jobs

import (
	_ "embed"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Every transition of more than one key is one script, and so atomic. Each is described in its file.
// Those that end a keyed job are preceded by mailbox.lua.
var (
	//go:embed lua/mailbox.lua
	mailboxLua string
	//go:embed lua/lane.lua
	laneLua string
	//go:embed lua/add.lua
	addLua string
	//go:embed lua/send.lua
	sendLua string
	//go:embed lua/broadcast.lua
	broadcastLua string
	//go:embed lua/ack.lua
	ackLua string
	//go:embed lua/retry.lua
	retryLua string
	//go:embed lua/dead.lua
	deadLua string
	//go:embed lua/handback.lua
	handbackLua string
	//go:embed lua/renew.lua
	renewLua string
	//go:embed lua/reclaim.lua
	reclaimLua string
	//go:embed lua/resync.lua
	resyncLua string
	//go:embed lua/promote.lua
	promoteLua string
	//go:embed lua/join.lua
	joinLua string
	//go:embed lua/beat.lua
	beatLua string
	//go:embed lua/census.lua
	censusLua string
	//go:embed lua/leave.lua
	leaveLua string
	//go:embed lua/forget.lua
	forgetLua string
	//go:embed lua/reopen.lua
	reopenLua string
	//go:embed lua/seize.lua
	seizeLua string
	//go:embed lua/reaped.lua
	reapedLua string
	//go:embed lua/bury.lua
	buryLua string
	//go:embed lua/unlock.lua
	unlockLua string
	//go:embed lua/tail.lua
	tailLua string

	addScript       = redisx.NewScript(laneLua + addLua)
	sendScript      = redisx.NewScript(laneLua + sendLua)
	broadcastScript = redisx.NewScript(laneLua + broadcastLua)
	ackScript       = redisx.NewScript(mailboxLua + ackLua)
	retryScript     = redisx.NewScript(mailboxLua + retryLua)
	deadScript      = redisx.NewScript(mailboxLua + deadLua)
	handbackScript  = redisx.NewScript(mailboxLua + handbackLua)
	renewScript     = redisx.NewScript(renewLua)
	reclaimScript   = redisx.NewScript(mailboxLua + reclaimLua)
	resyncScript    = redisx.NewScript(resyncLua)
	promoteScript   = redisx.NewScript(promoteLua)
	joinScript      = redisx.NewScript(joinLua)
	beatScript      = redisx.NewScript(beatLua)
	censusScript    = redisx.NewScript(censusLua)
	leaveScript     = redisx.NewScript(leaveLua)
	forgetScript    = redisx.NewScript(forgetLua)
	reopenScript    = redisx.NewScript(reopenLua)
	seizeScript     = redisx.NewScript(seizeLua)
	reapedScript    = redisx.NewScript(reapedLua)
	buryScript      = redisx.NewScript(buryLua)
	unlockScript    = redisx.NewScript(unlockLua)
	tailScript      = redisx.NewScript(tailLua)
)
