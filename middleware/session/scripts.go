package session

import (
	_ "embed"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

//go:embed scripts/index.lua
var indexSource string

//go:embed scripts/create.lua
var createSource string

//go:embed scripts/revoke.lua
var revokeSource string

// The scripts are constants that Go cannot spell as such.
var (
	indexScript  = redisx.NewScript(indexSource)
	createScript = redisx.NewScript(createSource)
	revokeScript = redisx.NewScript(revokeSource)
)
