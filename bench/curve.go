package bench

import "time"

// Curve is Troupe, with others beside it in some, as a function of one x. With a single x it is a table.
type Curve struct {
	Name    string // in results.csv, of the flags and of the plots
	Title   string
	About   string
	X       string // what x counts
	Xs      []int  // in ascending order
	Once    int    // the x from which one run has to do; 0 for none
	Metrics []Metric
	Plots   []Metric // those of Metrics that are drawn, and said to bend or not
	Lines   []Line
	Versus  string      // the line that the first metric of the others is also given as a ratio to; empty for none
	Cross   [][2]string // pairs of lines: from which x on is the first one the cheaper?
}

// Line is what is measured at each x. A run is to take about span.
type Line struct {
	Name string
	Run  func(x int, span time.Duration) (Result, error)
}

// CurveSpan is about how long a run of a curve measures.
const CurveSpan = 200 * time.Millisecond

// The curves of PublishBatch.
const (
	Batches         = "batches"
	BatchPublishing = "batch-publishing"
)

// Curves lists them all, in the order of RESULTS.md. The largest comes last, because of what it leaves to collect.
func Curves() []Curve {
	return []Curve{subscribers(), manyTopics(), patterns(), producers(), payload(), processors(), batchSizes(), batchPublishing(), slow(), wakeUps(),
		failurePaths(), storms(), failureMemory(), idleSubscribers()}
}

// flooded makes a line of each library that publishes as fast as it can.
func flooded(libraries []Library, suffix string, cell func(x int) Cell) []Line {
	var lines []Line
	for _, l := range libraries {
		lines = append(lines, Line{l.Name + suffix, func(x int, span time.Duration) (Result, error) {
			c := cell(x)
			c.Scenario, c.Span = Throughput, span
			return Run(l, c)
		}})
	}
	return lines
}
