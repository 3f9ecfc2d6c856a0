package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/bench"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// drawn are the libraries of the plots: what one would use instead, and the floor.
var drawn = []string{bench.Ours, bench.Baseline, "kelindar", "go-disruptor-yield"}

var quantiles = map[bench.Metric]string{bench.P50: "p50", bench.P99: "p99", bench.P999: "p99.9"}

// plotLine is a line of a plot: what it is at each x, with NaN where it is not.
type plotLine struct {
	name string
	ys   []spread
}

// plotFile names the plot of a curve. The first one needs no metric in its name.
func plotFile(c bench.Curve, metric bench.Metric) string {
	name := c.Name
	if metric != c.Plots[0] {
		name += "-" + strings.ReplaceAll(string(metric), "/", "-per-")
	}
	return name + ".svg"
}

// plots returns the files of all that was run by name.
func (s *series) plots() (map[string][]byte, error) {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	files := make(map[string][]byte)
	var err error
	add := func(name string, p *picture) {
		if err == nil && p != nil {
			files[name], err = p.svg()
		}
	}
	add("throughput.svg", s.dots("Throughput", "ns per delivery", plain, cellsOf(bench.Throughput), bench.NsPerDelivery))
	add("latency.svg", s.dots("Latency", "from Publish to handler", duration, cellsOf(bench.Latency), bench.P50, bench.P99, bench.P999))
	for _, c := range s.curves {
		for _, metric := range c.Plots {
			var lines []plotLine
			for _, line := range c.Lines {
				l := plotLine{name: line.Name}
				for _, x := range c.Xs {
					l.ys = append(l.ys, summarize(s.values(curvePlace(c, x), line.Name, metric)))
				}
				lines = append(lines, l)
			}
			p := newPicture(c.Title, string(metric), plain, lines)
			if p != nil {
				p.alongX(c.X, c.Xs)
			}
			add(plotFile(c, metric), p)
		}
	}
	return files, err
}

// dots are metrics of cells, with a place on the x axis for each metric of each cell.
func (s *series) dots(title, y string, format func(float64) string, cells []bench.Cell, metrics ...bench.Metric) *picture {
	var labels []string
	lines := make([]plotLine, len(drawn))
	for _, c := range cells {
		for _, metric := range metrics {
			label := c.String()
			if len(metrics) > 1 {
				label = fmt.Sprintf("%s\n%dx%d\n%dk/s", quantiles[metric], c.Producers, c.Subscribers, c.Rate/1000)
			}
			labels = append(labels, label)
			for i, name := range drawn {
				lines[i].name = name
				lines[i].ys = append(lines[i].ys, summarize(s.values(cellPlace(c), name, metric)))
			}
		}
	}
	p := newPicture(title, y, format, lines)
	if p != nil {
		p.nominal(labels)
	}
	return p
}

// picture is a plot with its legend beside it.
type picture struct {
	plot   *plot.Plot
	legend plot.Legend
	lines  []plotLine // those with a value
	err    error
}

// newPicture returns nil if no line has a value.
func newPicture(title, y string, format func(float64) string, lines []plotLine) *picture {
	p := &picture{plot: plot.New(), legend: plot.NewLegend()}
	low, high := math.Inf(1), math.Inf(-1)
	for _, line := range lines {
		has := false
		for _, v := range line.ys {
			if !math.IsNaN(v.median) {
				has, low, high = true, min(low, v.min), max(high, v.max)
			}
		}
		if has {
			p.lines = append(p.lines, line)
		}
	}
	if len(p.lines) == 0 {
		return nil
	}
	p.plot.Title.Text, p.plot.Y.Label.Text = title, y
	p.plot.Add(plotter.NewGrid())
	if low > 0 {
		p.plot.Y.Scale, p.plot.Y.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(logTicks(low, high, format))
	}
	p.legend.Top, p.legend.Left = true, true
	return p
}

// alongX draws each line with a band from the least to the greatest run.
func (p *picture) alongX(label string, xs []int) {
	var ticks []plot.Tick
	for _, x := range xs {
		ticks = append(ticks, plot.Tick{Value: float64(x), Label: strconv.Itoa(x)})
	}
	p.plot.X.Label.Text, p.plot.X.Scale, p.plot.X.Tick.Marker = label, plot.LogScale{}, plot.ConstantTicks(ticks)
	for i, line := range p.lines {
		var middle, band plotter.XYs
		for k, v := range line.ys {
			if !math.IsNaN(v.median) {
				x := float64(xs[k])
				middle = append(middle, plotter.XY{X: x, Y: v.median})
				band = append(band, plotter.XY{X: x, Y: v.max})
			}
		}
		for k, v := range slices.Backward(line.ys) {
			if !math.IsNaN(v.median) {
				band = append(band, plotter.XY{X: float64(xs[k]), Y: v.min})
			}
		}
		ink, dashes := p.style(i)
		area, err := plotter.NewPolygon(band)
		p.note(err)
		l, points, err := plotter.NewLinePoints(middle)
		p.note(err)
		if p.err != nil {
			return
		}
		area.Color, area.LineStyle.Width = color.NRGBA{ink.R, ink.G, ink.B, 40}, 0
		l.Color, l.Width, l.Dashes = ink, vg.Points(1.5), dashes
		points.Color, points.Shape, points.Radius = ink, draw.CircleGlyph{}, vg.Points(2)
		p.plot.Add(area, l, points)
		p.legend.Add(line.name, l, points)
	}
}

// nominal draws the lines as dots side by side over each label, with whiskers from the least to the greatest run.
func (p *picture) nominal(labels []string) {
	p.plot.NominalX(labels...)
	p.plot.X.Min, p.plot.X.Max = -0.5, float64(len(labels))-0.5
	for i, line := range p.lines {
		var dots struct {
			plotter.XYs
			plotter.YErrors
		}
		for k, v := range line.ys {
			if !math.IsNaN(v.median) {
				x := float64(k) + 0.15*(float64(i)-float64(len(p.lines)-1)/2)
				dots.XYs = append(dots.XYs, plotter.XY{X: x, Y: v.median})
				dots.YErrors = append(dots.YErrors, struct{ Low, High float64 }{v.median - v.min, v.max - v.median})
			}
		}
		ink, _ := p.style(i)
		points, err := plotter.NewScatter(dots.XYs)
		p.note(err)
		whiskers, err := plotter.NewYErrorBars(dots)
		p.note(err)
		if p.err != nil {
			return
		}
		points.Color, points.Shape, points.Radius = ink, draw.CircleGlyph{}, vg.Points(3)
		whiskers.Color, whiskers.CapWidth = ink, vg.Points(4)
		p.plot.Add(whiskers, points)
		p.legend.Add(line.name, points)
	}
}

// style gives a color to the first word of a name, which is the library, and dashes to the rest.
func (p *picture) style(line int) (color.RGBA, []vg.Length) {
	var firsts, rests []string
	for _, l := range p.lines[:line+1] {
		first, rest, _ := strings.Cut(l.name, " ")
		if !slices.Contains(firsts, first) {
			firsts = append(firsts, first)
		}
		if !slices.Contains(rests, rest) {
			rests = append(rests, rest)
		}
	}
	first, rest, _ := strings.Cut(p.lines[line].name, " ")
	ink := plotutil.DarkColors[slices.Index(firsts, first)%len(plotutil.DarkColors)]
	return color.RGBAModel.Convert(ink).(color.RGBA), plotutil.Dashes(slices.Index(rests, rest))
}

func (p *picture) note(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *picture) svg() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	const width, height, beside = 24 * vg.Centimeter, 12 * vg.Centimeter, 5 * vg.Centimeter
	for _, axis := range []*plot.Axis{&p.plot.X, &p.plot.Y} {
		if _, log := axis.Scale.(plot.LogScale); log && axis.Min == axis.Max {
			axis.Min, axis.Max = axis.Min/2, axis.Max*2
		}
	}
	canvas := vgsvg.New(width, height)
	all := draw.New(canvas)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	p.plot.Draw(draw.Crop(all, vg.Points(4), -beside, vg.Points(4), -vg.Points(4)))
	p.legend.Draw(draw.Crop(all, width-beside+vg.Points(8), 0, 0, -vg.Points(24)))
	var b bytes.Buffer
	_, err := canvas.WriteTo(&b)
	return b.Bytes(), err
}

// plain writes a number without an exponent.
func plain(v float64) string {
	if v < 1 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// logTicks has a tick at 1, 2 and 5 of each decade, which all have labels if there are few of them.
func logTicks(low, high float64, format func(float64) string) (ticks []plot.Tick) {
	decades := math.Log10(high) - math.Log10(low)
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, digit := range []float64{1, 2, 5} {
			tick := plot.Tick{Value: digit * math.Pow(10, e)}
			if digit == 1 || decades < 3 {
				tick.Label = format(tick.Value)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}
