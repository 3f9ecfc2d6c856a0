// What the whole page knows: where it is, what it shows, and who looks.
export const app = {
  page: '', // name of the page
  params: {}, // from behind the # of the address
  about: { rights: {} },
  counts: {},
  cursor: -1, // row that the keyboard is at
  picked: new Set(), // letters chosen by mark
  all: false, // all that match are chosen
  render: () => {},
  reload: () => {},
  go: (page, params, replace) => {},
};

export const may = (right) => Boolean(app.about.rights[right]);
