package router

import (
	_ "embed" // the scripts

	"github.com/agentmesh/agentmesh/internal/redisx"
)

//go:embed scripts/common.lua
var commonSource string

//go:embed scripts/head.lua
var headSource string

//go:embed scripts/publish.lua
var publishSource string

//go:embed scripts/attach.lua
var attachSource string

//go:embed scripts/refresh.lua
var refreshSource string

//go:embed scripts/release.lua
var releaseSource string

//go:embed scripts/holders.lua
var holdersSource string

//go:embed scripts/page.lua
var pageSource string

//go:embed scripts/join.lua
var joinSource string

//go:embed scripts/unindex.lua
var unindexSource string

//go:embed scripts/renew.lua
var renewSource string

type scripts struct {
	publish, attach, refresh, release, holders, page, join, unindex, renew *redisx.Script
}

func newScripts() scripts {
	return scripts{
		publish: redisx.NewScript(commonSource + headSource + publishSource),
		attach:  redisx.NewScript(commonSource + headSource + attachSource),
		refresh: redisx.NewScript(refreshSource),
		release: redisx.NewScript(releaseSource),
		holders: redisx.NewScript(commonSource + holdersSource),
		page:    redisx.NewScript(pageSource),
		join:    redisx.NewScript(headSource + joinSource),
		unindex: redisx.NewScript(unindexSource),
		renew:   redisx.NewScript(headSource + renewSource),
	}
}
