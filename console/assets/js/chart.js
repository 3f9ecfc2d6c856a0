// Charts over time, drawn by uPlot. Colors come from the style sheet.
import { h } from './dom.js';
import { figure, parts } from './format.js';

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const pad = (n) => String(n).padStart(2, '0');

const watcher = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) if (target.$plot && contentRect.width > 40) target.$plot.setSize({ width: contentRect.width, height: contentRect.height });
});

// chart is an element with a chart in it. series: {label, color, bars, fill}.
export function chart(key, { times, series, label, bars, zoom }) {
  const theme = document.documentElement.dataset.theme;
  const shape = theme + series.map((s) => s.label).join();
  return h('div', { class: 'chart', key, keep: true, role: 'img', 'aria-label': label, mount: (node) => draw(node, shape, { times, series, bars, zoom }) });
}

function draw(node, shape, { times, series, bars, zoom }) {
  const data = [times, ...series.map((s) => s.values)];
  if (node.$plot && node.$shape === shape) {
    node.$plot.setData(data);
    return;
  }
  if (node.$plot) node.$plot.destroy();
  node.$shape = shape;
  const style = getComputedStyle(node);
  const width = node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const height = node.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
  const axis = { stroke: color('--faint'), font: '11px ' + color('--sans'), ticks: { show: false }, grid: { stroke: color('--line'), width: 1 } };
  const time = (u, splits) => splits.map((s, i) => {
    const [, mo, d, hh, mi, se] = parts(new Date(s * 1000));
    const step = splits.length > 1 ? splits[1] - splits[0] : 60;
    return step >= 86400 ? `${pad(mo)}-${pad(d)}` : step < 60 ? `${pad(hh)}:${pad(mi)}:${pad(se)}` : `${pad(hh)}:${pad(mi)}`;
  });
  node.$plot = new window.uPlot({
    width: Math.max(80, width), height, padding: [8, 6, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: Boolean(zoom), y: false, setScale: false } },
    scales: { x: { time: true }, y: { range: (u, lo, hi) => [0, Math.max(1, hi * 1.1)] } },
    axes: [{ ...axis, grid: { show: false }, space: 62, size: 24, values: time }, { ...axis, space: 34, size: 42, values: (u, v) => v.map((n) => figure(n)) }],
    hooks: zoom ? { setSelect: [(u) => u.select.width > 4 && zoom(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'))] } : {},
    series: [{}, ...series.map((s) => ({
      label: s.label, stroke: color(s.color), width: bars ? 0 : 1.6, fill: bars ? color(s.color) : s.fill ? color(s.color) + '1f' : undefined,
      paths: bars ? window.uPlot.paths.bars({ size: [0.72, 24], radius: 0.12 }) : undefined, points: { show: false },
    }))],
  }, data, node);
  watcher.observe(node);
}

export const key = (items) => h('div', { class: 'chart-key' }, items.map(([cls, text]) => h('span', {}, h('i', { class: cls }), text)));
