// Package model_test proves the Promela models of the mailbox's protocols with
// Spin, and shows that the proofs would notice a protocol that lacks a step.
package model_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// size is one finite instance of a model: the macros that spin gets.
type size []string

// mutant is a model with one step left out or out of order.
type mutant struct {
	at    size   // the smallest instance that shows the fault
	wants string // what the search says: part of the assertion that fails
}

// Together the sizes of a model reach each of its statements.
var models = []struct {
	file    string
	sizes   []size
	large   []size // those for which it pays to compile the search with optimization
	mutants map[string]mutant
}{
	{
		file: "log.pml",
		sizes: []size{
			{"PRODS=2", "EVENTS=2", "NEWCOMER=0"},
			{"PRODS=2", "EVENTS=2", "OTHERS=1", "NEWCOMER=1"},
		},
		large: []size{
			{"PRODS=3", "EVENTS=1", "NEWCOMER=1"},
		},
		mutants: map[string]mutant{
			"NONATOMIC_CLAIM":      {size{"PRODS=3", "EVENTS=1", "NEWCOMER=0"}, "seen["},
			"READY_BEFORE_VALUE":   {size{"NEWCOMER=0"}, "v!=0"},
			"FIRST_READY_FIRST":    {size{"NEWCOMER=0"}, "stands["},
			"BATCH_BEYOND_SEGMENT": {size{"NEWCOMER=0"}, "(i+n)<="},
			"BATCH_IN_TWO_CLAIMS":  {size{"PRODS=1", "EVENTS=3"}, "joined"},
			"LINK_WITHOUT_CAS":     {size{"NEWCOMER=0"}, "count["},
			"TOMB_NOT_SKIPPED":     {size{"NEWCOMER=0"}, "count["},
			"SKIP_UNREADY":         {size{"NEWCOMER=0"}, "count["},
			"HEAD_BEFORE_LOWER":    {size{"PRODS=1", "EVENTS=3"}, "start>=before"},
		},
	},
	{
		file: "wake.pml",
		sizes: []size{
			{"BOXES=1", "LOOPS=3", "PAUSES=0"},
			{"BOXES=1", "LOOPS=3", "PAUSES=0", "EVENTS=2", "ASLEEP"},
			{"BOXES=1", "LOOPS=2", "PAUSES=1", "ASLEEP"},
			{"BOXES=2", "LOOPS=2", "PAUSES=0", "ASLEEP"},
		},
		mutants: map[string]mutant{
			"WAKE_BEFORE_READY":    {size{"BOXES=1"}, "pos["},
			"WAKE_WITHOUT_CAS":     {size{"BOXES=1"}, "owned["},
			"RESUME_WITHOUT_CAS":   {size{"BOXES=1"}, "owned["},
			"SLEEP_WITHOUT_LOOK":   {size{"BOXES=1"}, "pos["},
			"PARKED_NOT_RECHECKED": {size{"BOXES=1"}, "pos["},
			"LOOK_AT_LIVE_READER":  {size{"BOXES=1"}, "owned["},
			"UNPARK_AFTER_WAKE":    {size{"BOXES=1"}, "pos["},
			"SUBSCRIBE_ASLEEP":     {size{"BOXES=1"}, "pos["},
			"NEXT_AFTER_UNPARK":    {size{"BOXES=2", "ASLEEP"}, "pos["},
			"PUSH_TWICE":           {size{"BOXES=2", "ASLEEP"}, "pos["},
			"PUSH_WITHOUT_CAS":     {size{"BOXES=2", "ASLEEP"}, "pos["},
			"SPLIT_SWAP":           {size{"BOXES=2", "ASLEEP", "LOOPS=1", "EVENTS=2"}, "pos["},
			"START_BEFORE_SIGNAL":  {size{"BOXES=1", "ASLEEP", "PAUSES=1"}, "sig["},
			"SIGNAL_BEFORE_CHANGE": {size{"BOXES=1", "ASLEEP", "PAUSES=1"}, "pos["},
			"SIGNAL_CLEARED_LATE":  {size{"BOXES=1", "ASLEEP", "PAUSES=1"}, "pos["},
			"SIGNAL_NOT_RECHECKED": {size{"BOXES=1", "ASLEEP", "PAUSES=1"}, "pos["},
		},
	},
	{
		file: "gate.pml",
		sizes: []size{
			{"PRODS=2", "EVENTS=2", "SECOND=0", "STUCK=1"},
			{"PRODS=1", "EVENTS=3", "SECOND=1", "CAP0=3"},
			{"PRODS=2", "EVENTS=1", "SECOND=1", "CAP0=2", "GIVE_UP=2"},
			{"PRODS=2", "EVENTS=1", "SECOND=2", "CAP0=1", "CAP1=2", "STUCK=2"},
		},
		large: []size{
			{"PRODS=3", "EVENTS=1", "SECOND=0"},
			{"PRODS=2", "EVENTS=2", "OTHERS=1", "SECOND=1", "CAP0=2", "LEAVES=0", "GIVE_UP=0"},
		},
		mutants: map[string]mutant{
			"LIMIT_READ_BEFORE_CLAIM": {size{"PRODS=1", "CAP0=2"}, "attached["},
			"SUBSCRIBE_KEEPS_LIMIT":   {size{"PRODS=1", "CAP0=2"}, "attached["},
			"NEWCOMER_NOT_COUNTED":    {size{"PRODS=1", "CAP0=2"}, "attached["},
			"LIMIT_OF_THE_FULL_ONE":   {size{"PRODS=1", "EVENTS=3", "CAP0=3"}, "attached["},
			"LATE_NOT_COUNTED":        {size{"PRODS=1", "CAP0=2"}, "vain"},
			"LOWEST_NOT_APPOINTED":    {size{"PRODS=1", "CAP0=2"}, "vain"},
			"CLAIMED_NOT_SERVED":      {size{"PRODS=1", "CAP0=2"}, "vain"},
			"DETACH_WITHOUT_WAKE":     {size{"PRODS=1", "CAP0=2"}, "vain"},
			"TOMB_WITHOUT_WAKE":       {size{"PRODS=1", "CAP0=2"}, "rd["},
			"APPOINT_WITHOUT_LOOK":    {size{"SECOND=0"}, "vain"},
			"ROOM_WITHOUT_WAKE":       {size{"SECOND=0"}, "vain"},
			"HEAD_READ_AGAIN":         {size{"SECOND=0"}, "vain"},
			"LOOK_BEFORE_WAITING":     {size{"SECOND=0"}, "vain"},
			"NO_SECOND_LOOK":          {size{"SECOND=0"}, "vain"},
			"PUBLISH_AFTER_WAITING":   {size{"SECOND=0"}, "vain"},
			"PUBLISH_AFTER_FULL":      {size{"SECOND=0"}, "vain"},
			"LEAVER_KEEPS_WAKE":       {size{"SECOND=0"}, "vain"},
			"IDLE_WITHOUT_PUBLISH":    {size{"SECOND=0"}, "stuck["},
		},
	},
	{
		file: "join.pml",
		sizes: []size{
			{"PRODS=2", "EVENTS=1"},
		},
		large: []size{
			{"PRODS=1", "EVENTS=3"},
		},
		mutants: map[string]mutant{
			"DETACH_KEEPS_LIMIT":    {size{"EVENTS=1"}, "readers["},
			"CLAIMED_WITHOUT_LOOK":  {size{"EVENTS=1"}, "readers["},
			"SUBSCRIBE_KEEPS_LIMIT": {size{"EVENTS=1"}, "unread"},
			"FIRST_STARTS_AT_HEAD":  {size{"EVENTS=1"}, "slot["},
			"CLOSE_UNDRAINED":       {size{"EVENTS=1"}, "slot["},
			"END_BEFORE_STATES":     {size{"EVENTS=1"}, "readers["},
		},
	},
	{
		file: "clear.pml",
		sizes: []size{
			{"CURSORS=2", "EVENTS=2", "LEAVERS=2"},
			{"CURSORS=2", "EVENTS=3", "LEAVERS=1", "META=2"},
			{"CURSORS=2", "EVENTS=3", "LEAVERS=1", "META=3"},
		},
		large: []size{
			{"CURSORS=3", "EVENTS=2", "LEAVERS=1"},
		},
		mutants: map[string]mutant{
			"APPOINT_WITHOUT_LOOK": {size{"CURSORS=2", "EVENTS=2"}, "swept>="},
			"PUBLISH_AFTER_WATCH":  {size{"CURSORS=2", "EVENTS=2"}, "swept>="},
			"CLOSE_WITHOUT_SWEEP":  {size{"CURSORS=2", "EVENTS=2"}, "swept>="},
			"REST_NOT_SWEPT":       {size{"CURSORS=2", "EVENTS=2", "LEAVERS=2"}, "swept>="},
			"DUE_NOT_LOWERED":      {size{"CURSORS=2", "META=2"}, "swept>="},
			"CLEAR_TO_OWN":         {size{"CURSORS=2", "EVENTS=2", "META=1"}, "value["},
			"START_AFTER_CLAIM":    {size{"CURSORS=2", "EVENTS=2", "META=1"}, "value["},
			"IN_HAND_LET_GO":       {size{"CURSORS=2", "EVENTS=2"}, "value["},
			"ADDED_AFTER_LIMIT":    {size{"CURSORS=3", "EVENTS=2"}, "value["},
			"SWEEP_UNLOCKED":       {size{"CURSORS=2", "EVENTS=2"}, "sweeping"},
		},
	},
	{
		file: "recycle.pml",
		sizes: []size{
			{"PRODS=1", "EVENTS=3"},
			{"PRODS=1", "EVENTS=4", "SEG=2", "CLEARS=1"},
			{"PRODS=2", "EVENTS=2", "OTHERS=1", "NEWCOMER=0", "LEAVES=0"},
		},
		mutants: map[string]mutant{
			"RECYCLE_AT_THE_FIRST":    {size{"PRODS=1", "EVENTS=3"}, "owner["},
			"IN_HAND_LET_GO":          {size{"PRODS=1", "EVENTS=3"}, "owner["},
			"RECYCLE_BEFORE_LINK":     {size{"PRODS=1", "EVENTS=3"}, "owner["},
			"RECYCLE_BEFORE_CLEARING": {size{"PRODS=1", "EVENTS=4", "SEG=2", "CLEARS=1", "NEWCOMER=0", "LEAVES=0"}, "owner["},
			"SEGMENT_USED_AGAIN":      {size{"EVENTS=2", "OTHERS=1", "NEWCOMER=0", "LEAVES=0"}, "owner["},
			"NOT_EMPTIED":             {size{"PRODS=1", "EVENTS=3", "NEWCOMER=0", "LEAVES=0"}, "value["},
			"ADDED_AFTER_LIMIT":       {size{"PRODS=1", "EVENTS=3"}, "stands["},
			"APPOINT_WITHOUT_LOOK":    {size{"PRODS=1", "EVENTS=3"}, "low<="},
			"PUBLISH_AFTER_WATCH":     {size{"PRODS=1", "EVENTS=3"}, "swept>="},
		},
	},
	{
		file: "inbox.pml",
		sizes: []size{
			{"CONS=1"},
			{"CONS=1", "LOOPS=1", "INJECT=1", "PRODS=1"},
			{"CONS=1", "LOOPS=1", "FEEDS=2", "JOIN=1"},
			{"CONS=1", "LOOPS=1", "PRODS=1", "EVENTS=2", "KEYED=2"},
			{"CONS=1", "LOOPS=1", "PRODS=1", "EVENTS=2", "KEYED=1"},
			{"CONS=1", "LOOPS=1", "FILTER=1"},
			{"CONS=1", "LOOPS=1", "FILTER=1", "PRODS=1", "EVENTS=2", "DRAIN=1"},
			{"CONS=1", "DEAF=1", "FILTER=1", "CAP=2", "EVENTS=2"},
			{"CONS=2", "LOOPS=1", "PRODS=1", "EVENTS=2", "STUCK=1"},
		},
		large: []size{
			{"CONS=1", "DEAF=1", "FILTER=1", "CAP=1", "PRODS=3"},
			{"CONS=1", "LOOPS=1", "FILTER=1", "CAP=1", "STUCK=1"},
			{"CONS=2", "LOOPS=1", "PRODS=1", "PAUSED=1"},
		},
		mutants: map[string]mutant{
			"ROUSE_BEFORE_PUSH":        {size{"CONS=1", "LOOPS=1"}, "taken=="},
			"PUSH_WITHOUT_ROUSE":       {size{"CONS=1", "LOOPS=1"}, "taken=="},
			"PUSHED_NOT_CLEARED":       {size{"CONS=1", "LOOPS=1"}, "taken=="},
			"CLEARED_BEFORE_GATHERING": {size{"CONS=1", "LOOPS=1"}, "woken>>"},
			"GATHERED_NOT_PARKED":      {size{"CONS=1", "LOOPS=1"}, "taken=="},
			"SLEEP_WITHOUT_PARK":       {size{"CONS=1", "LOOPS=1"}, "taken=="},
			"WOKEN_NOT_RECHECKED":      {size{"CONS=1", "LOOPS=1"}, "taken=="},
			"READY_NOT_RECHECKED":      {size{"CONS=1", "LOOPS=1", "PRODS=1", "INJECT=1"}, "taken=="},
			"NO_MORE":                  {size{"LOOPS=1", "PRODS=1", "EVENTS=2", "STUCK=1"}, "taken=="},
			"MORE_WITHOUT_PARK":        {size{"LOOPS=1", "PRODS=1", "EVENTS=2", "STUCK=1"}, "taken=="},
			"MORE_WITHOUT_LOOK":        {size{"LOOPS=1", "PRODS=1", "EVENTS=2", "STUCK=1"}, "taken=="},
			"MORE_WITHOUT_ROUSE":       {size{"LOOPS=1", "PRODS=1", "EVENTS=2", "STUCK=1"}, "taken=="},
			"PAUSED_WITHOUT_PASS":      {size{"LOOPS=1", "PRODS=1", "PAUSED=1"}, "taken=="},
			"INJECT_WITHOUT_ROUSE":     {size{"CONS=1", "LOOPS=1", "PRODS=1", "INJECT=1"}, "taken=="},
			"RELEASE_WITHOUT_ROUSE":    {size{"CONS=1", "LOOPS=1", "PRODS=1", "EVENTS=2", "KEYED=2"}, "taken=="},
			"RELEASE_WITHOUT_NEXT":     {size{"CONS=1", "LOOPS=1", "PRODS=1", "EVENTS=2", "KEYED=2"}, "taken=="},
			"FEED_WITHOUT_PUSH":        {size{"CONS=1", "LOOPS=1", "FEEDS=2", "JOIN=1"}, "taken=="},
			"ABSORBED_WITHOUT_PARK":    {size{"CONS=1", "LOOPS=1", "FEEDS=2"}, "taken=="},
			"QUIET_WITHOUT_LOOK":       {size{"CONS=1", "LOOPS=1", "FEEDS=2"}, "taken=="},
			"NOT_PARKED_AGAIN":         {size{"CONS=1", "LOOPS=1", "FILTER=1"}, "taken=="},
			"PARKED_WITHOUT_LOOK":      {size{"CONS=1", "LOOPS=1", "FILTER=1"}, "taken=="},
			"SLEEP_THOUGH_DRAINED":     {size{"CONS=1", "LOOPS=1", "FILTER=1", "PRODS=1", "DRAIN=1"}, "leaving"},
			"DRAINED_NOT_TOLD":         {size{"CONS=1", "LOOPS=1", "FILTER=1", "PRODS=1", "DRAIN=1"}, "leaving"},
			"ABSORBED_NOT_PUBLISHED":   {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=1"}, "queued=="},
			"NO_PARK_FOR_WAITERS":      {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=2", "PRODS=3"}, "queued=="},
			"RELIEVE_WITHOUT_PARK":     {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=2", "PRODS=3"}, "queued=="},
			"WANTED_ENDS_HELP":         {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=2", "PRODS=3"}, "queued=="},
			"HELP_ENDS_EARLY":          {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=1", "PRODS=3"}, "queued=="},
			"NO_RELIEF_FOR_WAITERS":    {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=2", "PRODS=3"}, "queued=="},
			"RELIEF_AT_THE_POSITION":   {size{"CONS=1", "DEAF=1", "FILTER=1", "CAP=2", "EVENTS=2"}, "queued=="},
			"RELIEVE_PARKS_UNLOCKED":   {size{"CONS=1", "LOOPS=1", "FILTER=1", "CAP=1", "EVENTS=2"}, "taken=="},
		},
	},
}

// TestModelsHold searches every state of every model.
func TestModelsHold(t *testing.T) {
	needSpin(t)
	for _, m := range models {
		t.Run(m.file, func(t *testing.T) {
			t.Parallel()
			var never map[string]bool // statements that no size has reached
			for k, s := range slices.Concat(m.sizes, m.large) {
				start := time.Now()
				optimize := "-O0"
				if k >= len(m.sizes) {
					optimize = "-O2"
				}
				out := search(t, m.file, optimize, s)
				if !strings.Contains(out, "errors: 0") {
					t.Errorf("%s %v: the model does not hold:\n%s", m.file, s, out)
				}
				for _, sign := range []string{"max search depth too small", "Search not completed", "MEMLIM", "out of memory"} {
					if strings.Contains(out, sign) {
						t.Errorf("%s %v: search = %q, want it complete:\n%s", m.file, s, sign, out)
					}
				}
				never = intersect(never, unreached(out))
				t.Logf("%s %v: %s states, %v", m.file, s, states(out), time.Since(start).Round(10*time.Millisecond))
			}
			for _, statement := range slices.Sorted(maps.Keys(never)) {
				t.Errorf("%s: no size reaches %s: what the model says about it is void", m.file, statement)
			}
		})
	}
}

// TestMutantsFail shows that each step is needed, and that the models see it.
func TestMutantsFail(t *testing.T) {
	needSpin(t)
	for _, m := range models {
		for name, mut := range m.mutants {
			t.Run(m.file+"/"+name, func(t *testing.T) {
				t.Parallel()
				out := search(t, m.file, "-O0", append(slices.Clone(mut.at), "MUTANT_"+name))
				first := regexp.MustCompile(`pan:1: .*`).FindString(out)
				if !strings.Contains(first, "assertion violated") || !strings.Contains(first, mut.wants) {
					t.Fatalf("search = %q, want a violation of an assertion about %q:\n%s", first, mut.wants, out)
				}
				t.Logf("%v: %s states, %s", mut.at, states(out), first)
			})
		}
	}
}

// TestEveryMutantHasARow holds the files and the tables above together.
func TestEveryMutantHasARow(t *testing.T) {
	files, err := filepath.Glob("*.pml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(models) {
		t.Errorf("%d models in the table, want %v", len(models), files)
	}
	for _, m := range models {
		text, err := os.ReadFile(m.file)
		if err != nil {
			t.Fatal(err)
		}
		inFile := map[string]bool{}
		for _, match := range regexp.MustCompile(`MUTANT_(\w+)`).FindAllSubmatch(text, -1) {
			inFile[string(match[1])] = true
		}
		got, want := slices.Sorted(maps.Keys(m.mutants)), slices.Sorted(maps.Keys(inFile))
		if !slices.Equal(got, want) {
			t.Errorf("%s: rows = %v, want %v", m.file, got, want)
		}
	}
}

// needSpin skips without Spin, but not where it must not be forgotten.
func needSpin(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing := "THE MAILBOX PROTOCOLS WERE NOT CHECKED: " + err.Error() + ": apt-get install spin gcc"
			if os.Getenv("CI") == "true" {
				t.Fatal(missing)
			}
			t.Skip(missing)
		}
	}
}

// search runs the verifier that spin makes of a model, and returns its report.
func search(t *testing.T, file, optimize string, s size) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	spin := []string{"spin", "-a"}
	for _, macro := range s {
		spin = append(spin, "-D"+macro)
	}
	run(t, dir, append(spin, path)...)
	// Only safety is asked for: what must happen is asserted of the states in
	// which nobody can take another step. MEMLIM is in MiB.
	run(t, dir, "gcc", optimize, "-w", "-DSAFETY", "-DMEMLIM=2000", "-o", "pan", "pan.c")
	return run(t, dir, "./pan", "-m100000", "-w22")
}

func run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return string(out)
}

func states(out string) string {
	match := regexp.MustCompile(`(\d+) states, stored`).FindStringSubmatch(out)
	if match == nil {
		return "?"
	}
	return match[1]
}

// unreached returns the statements that a search did not come to, but for the
// ends of processes that never end.
func unreached(out string) map[string]bool {
	found := map[string]bool{}
	proctype := ""
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "unreached in "); ok {
			proctype = strings.TrimSpace(name)
			continue
		}
		if _, at, ok := strings.Cut(line, ".pml:"); ok && proctype != "" && !strings.Contains(at, `"-end-"`) {
			found[proctype+" line "+strings.TrimSpace(at)] = true
		}
	}
	return found
}

func intersect(a, b map[string]bool) map[string]bool {
	if a == nil {
		return b
	}
	maps.DeleteFunc(a, func(key string, _ bool) bool { return !b[key] })
	return a
}
