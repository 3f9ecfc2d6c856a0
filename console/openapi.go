package console

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/troupe-go/troupe/console/internal/wire"
)

// object is a JSON object of the description.
type object = map[string]any

// describe returns the OpenAPI description of the routes. Schemas are made of the
// Go types by the rules of encoding/json, so that they cannot fall behind.
func describe(routes []route) []byte {
	s := schemas{defs: object{}}
	paths := object{}
	for _, r := range routes {
		op := object{
			"operationId": r.name(), "summary": r.summary, "responses": object{
				"200":     object{"description": "done", "content": s.content(r)},
				"default": object{"description": "not done", "content": object{"application/json": object{"schema": s.of(reflect.TypeFor[wire.Error]())}}},
			},
		}
		rights := "metadata"
		if r.rights != "" {
			rights += "; " + r.rights
		}
		op["description"] = "Rights: " + rights + "."
		var params []any
		for _, p := range r.params {
			params = append(params, parameter(p))
		}
		if params != nil {
			op["parameters"] = params
		}
		switch {
		case r.body != nil:
			op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(r.body))}}}
		case r.method == http.MethodPost:
			op["requestBody"] = object{"required": true, "content": object{r.media: object{}}}
		}
		paths["/"+api+r.path] = object{strings.ToLower(r.method): op}
	}
	data, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Troupe console", "version": "1",
			"description": "What package ops does, over HTTP. Addresses are relative to where the console is mounted. Durations are integers of nanoseconds.",
		},
		"servers": []any{object{"url": "."}}, "paths": paths, "components": object{"schemas": s.defs},
	})
	if err != nil {
		panic("console: " + err.Error()) // maps, lists and strings
	}
	return data
}

func parameter(p param) object {
	schema := object{"type": p.kind}
	if p.kind == "date-time" {
		schema = object{"type": "string", "format": p.kind}
	}
	if p.many {
		schema = object{"type": "array", "items": schema}
	}
	return object{"name": p.name, "in": "query", "description": p.about, "schema": schema}
}

type schemas struct{ defs object }

// content is what a route answers with.
func (s schemas) content(r route) object {
	if r.result == nil {
		return object{r.media: object{}}
	}
	return object{"application/json": object{"schema": s.of(reflect.TypeOf(r.result))}}
}

// of returns the schema of a type; those of structs are named, and kept in defs.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "description": "nanoseconds"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": []string{"string", "null"}, "contentEncoding": "base64"}
		}
		return object{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	}
	return object{"type": "integer"}
}

func (s schemas) named(t reflect.Type) object {
	name := strings.ReplaceAll(t.String(), ".", "_")
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // it may refer to itself
		props, required := object{}, []string{}
		s.fields(t, func(name string, typ reflect.Type, optional bool) {
			if _, ok := props[name]; ok {
				return // an outer field stands before one of an embedded struct
			}
			if props[name] = s.of(typ); !optional {
				required = append(required, name)
			}
		})
		def := object{"type": "object", "properties": props, "additionalProperties": false}
		if len(required) > 0 {
			def["required"] = required
		}
		s.defs[name] = def
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// fields gives the fields of a struct as encoding/json has them: its own, then
// those of embedded structs.
func (s schemas) fields(t reflect.Type, give func(name string, typ reflect.Type, optional bool)) {
	var embedded []reflect.Type
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			embedded = append(embedded, f.Type)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		give(name, f.Type, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") || f.Type.Kind() == reflect.Pointer)
	}
	for _, e := range embedded {
		s.fields(e, give)
	}
}

// kindOf says what JSON a Go type is read from.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a number"
}
