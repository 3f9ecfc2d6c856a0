# make check runs every gate. It needs Go and gcc (for the race detector), and
# spin for the models of the mailbox, Chromium for the pages of the console and the
# servers of scripts/services for the engines, which are skipped without:
#   apt-get install gcc libc6-dev spin chromium
#   eval "$(scripts/services start)"
# With CI=true nothing is skipped.

GO ?= go

STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK ?= golang.org/x/vuln/cmd/govulncheck@v1.8.0

# All checks but one. ST1005 wants error strings to begin in lower case; those of
# a config begin with the name of the Go field that is at fault.
CHECKS = all,-ST1005

# Modules of their own: what only those get who import it, and what nobody gets with
# Troupe: rivals, frameworks of others, what drives a browser.
MODULES = $(patsubst %/go.mod,%,$(sort $(wildcard */go.mod */*/go.mod */*/*/go.mod)))

# What follows is done in each of them, two at a time.
EACH = printf '%s\n' $(MODULES) | xargs -P 2 -I{} sh -c

# Where a test can pass by luck: goroutines meet in these.
CONCURRENT = ./mailbox ./actors ./runtime ./topics ./troupetest ./deadletter ./ops ./console

.PHONY: check lint format tidy vet staticcheck test stress modules examples bench bench-compare vuln

check: lint test modules

lint: format tidy vet staticcheck

format:
	@out=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; \
	if [ -n "$$out" ]; then echo "gofmt -w these files:"; echo "$$out"; exit 1; fi

tidy:
	$(GO) mod tidy -diff
	for m in $(MODULES); do (cd $$m && $(GO) mod tidy -diff) || exit 1; done

vet:
	$(GO) vet ./...
	$(EACH) 'cd {} && $(GO) vet ./...'

staticcheck:
	$(GO) run $(STATICCHECK) -checks $(CHECKS) ./...
	$(EACH) 'cd {} && $(GO) run $(STATICCHECK) -checks $(CHECKS) ./...'

# The layers, the papers and the examples are tests, too.
test:
	$(GO) test -race ./...

# On one processor and on more than there are; test has them on all that there are.
stress:
	$(GO) test -race -short -count=1 -cpu=1,8 -timeout=25m $(CONCURRENT)

# The tests of the modules, several at a time: those of engines wait more than they
# work.
modules:
	printf '%s\n' $(MODULES) | xargs -P 3 -I{} scripts/test-module {}

examples:
	$(GO) run ./examples/quickstart
	$(GO) run ./examples/supervision
	$(GO) run ./examples/indexer mailbox
	ls *.go | $(GO) run ./examples/embedding/stdin
	$(GO) run ./examples/orders
	cd examples/frameworks && ls */*.go | $(GO) run ./oklogrun
	cd examples/bank && $(GO) run .
	$(GO) run ./cmd/troupe demo --once

# Writes the sections of bench/RESULTS.md; about an hour on a machine that does nothing
# else.
bench:
	cd bench && $(GO) run ./cmd/report
	cd bench && $(GO) run ./cmd/letters
	cd bench && $(GO) run ./cmd/engines

# Did a change slow the hot path down? make bench-compare BASE=main~3
bench-compare:
	scripts/bench-compare $(BASE)

vuln:
	$(GO) run $(GOVULNCHECK) ./...
