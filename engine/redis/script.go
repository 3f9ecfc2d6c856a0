package redis

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
)

// script is a program for the server, which runs it whole and alone: what it does
// becomes visible, durable and replicated at once.
type script struct{ source, hash string }

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source)) // the name that the server gives it
	return &script{source: source, hash: hex.EncodeToString(sum[:])}
}

var (
	//go:embed script/add.lua
	addSource string
	//go:embed script/group.lua
	groupSource string
	//go:embed script/take.lua
	takeSource string
	//go:embed script/settle.lua
	settleSource string
	//go:embed script/extend.lua
	extendSource string
	//go:embed script/leave.lua
	leaveSource string
	//go:embed script/trim.lua
	trimSource string
	//go:embed script/member.lua
	memberSource string

	addScript    = newScript(addSource)
	groupScript  = newScript(groupSource)
	takeScript   = newScript(takeSource)
	settleScript = newScript(settleSource)
	extendScript = newScript(extendSource)
	leaveScript  = newScript(leaveSource)
	trimScript   = newScript(trimSource)
	memberScript = newScript(memberSource)
)
