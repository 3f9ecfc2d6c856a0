package console

// Classified are the fields of the query language by what they tell.
func Classified() (openFields, secretFields []string) { return open, secret }

// A Route is what a call of the API takes and gives.
type Route struct {
	Path, Method string
	Params       []string
	Media        string
}

// Routes returns all.
func Routes() (all []Route) {
	for _, r := range routes {
		var names []string
		for _, p := range r.params {
			names = append(names, p.name)
		}
		all = append(all, Route{r.path, r.method, names, r.media})
	}
	return all
}

// UserFrames and LetterDiff are tested for themselves.
var (
	UserFrames = userFrames
	LetterDiff = letterDiff
)
