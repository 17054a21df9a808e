package jobs

import (
	_ "embed"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Every transition of more than one key is one script, and so atomic. Each is described in its file.
// Those that work on queues are preceded by queue.lua, those that store what a handler wants by effects.lua too.
var (
	//go:embed lua/queue.lua
	queueLua string
	//go:embed lua/lane.lua
	laneLua string
	//go:embed lua/effects.lua
	effectsLua string
	//go:embed lua/add.lua
	addLua string
	//go:embed lua/send.lua
	sendLua string
	//go:embed lua/volatile.lua
	volatileLua string
	//go:embed lua/broadcast.lua
	broadcastLua string
	//go:embed lua/ack.lua
	ackLua string
	//go:embed lua/done.lua
	doneLua string
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
	//go:embed lua/risk.lua
	riskLua string
	//go:embed lua/resync.lua
	resyncLua string
	//go:embed lua/fetch.lua
	fetchLua string
	//go:embed lua/admit.lua
	admitLua string
	//go:embed lua/permit.lua
	permitLua string
	//go:embed lua/unpermit.lua
	unpermitLua string
	//go:embed lua/wake.lua
	wakeLua string
	//go:embed lua/finish.lua
	finishLua string
	//go:embed lua/waiting.lua
	waitingLua string
	//go:embed lua/turn.lua
	turnLua string
	//go:embed lua/batch.lua
	batchLua string
	//go:embed lua/stats.lua
	statsLua string
	//go:embed lua/revive.lua
	reviveLua string
	//go:embed lua/consumers.lua
	consumersLua string
	//go:embed lua/mend.lua
	mendLua string
	//go:embed lua/tidy.lua
	tidyLua string
	//go:embed lua/cancel.lua
	cancelLua string
	//go:embed lua/settings.lua
	settingsLua string
	//go:embed lua/set.lua
	setLua string
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

	addScript       = redisx.NewScript(queueLua + laneLua + addLua)
	sendScript      = redisx.NewScript(laneLua + sendLua)
	volatileScript  = redisx.NewScript(volatileLua)
	broadcastScript = redisx.NewScript(laneLua + broadcastLua)
	ackScript       = redisx.NewScript(queueLua + ackLua)
	doneScript      = redisx.NewScript(doneLua)
	retryScript     = redisx.NewScript(queueLua + retryLua)
	deadScript      = redisx.NewScript(queueLua + deadLua)
	handbackScript  = redisx.NewScript(queueLua + handbackLua)
	renewScript     = redisx.NewScript(queueLua + renewLua)
	reclaimScript   = redisx.NewScript(queueLua + reclaimLua)
	riskScript      = redisx.NewScript(queueLua + riskLua)
	resyncScript    = redisx.NewScript(queueLua + resyncLua)
	promoteScript   = redisx.NewScript(queueLua + promoteLua)
	fetchScript     = redisx.NewScript(queueLua + fetchLua)
	cancelScript    = redisx.NewScript(queueLua + cancelLua)
	admitScript     = redisx.NewScript(queueLua + admitLua)
	permitScript    = redisx.NewScript(permitLua)
	unpermitScript  = redisx.NewScript(unpermitLua)
	wakeScript      = redisx.NewScript(queueLua + wakeLua)
	finishScript    = redisx.NewScript(queueLua + effectsLua + finishLua)
	waitingScript   = redisx.NewScript(queueLua + waitingLua)
	turnScript      = redisx.NewScript(queueLua + effectsLua + turnLua)
	batchScript     = redisx.NewScript(queueLua + batchLua)
	statsScript     = redisx.NewScript(statsLua)
	reviveScript    = redisx.NewScript(queueLua + reviveLua)
	consumersScript = redisx.NewScript(consumersLua)
	mendScript      = redisx.NewScript(queueLua + mendLua)
	tidyScript      = redisx.NewScript(queueLua + tidyLua)
	settingsScript  = redisx.NewScript(settingsLua)
	setScript       = redisx.NewScript(setLua)
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
