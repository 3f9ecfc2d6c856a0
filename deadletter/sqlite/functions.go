package sqlite

import (
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
)

// What SQL cannot say of a letter, Go does: troupe_test(handle, columns...) calls
// the function of that handle with the columns. It is a function of connections
// of ours only; a view that used it could not be read by others.
var tests struct {
	last atomic.Int64
	byID sync.Map // int64 → test
}

type test func(columns []driver.Value) bool

func registerFunctions(d *sqlite.Driver) {
	err := d.RegisterScalarFunction("troupe_test", -1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		handle, _ := args[0].(int64)
		fn, ok := tests.byID.Load(handle)
		if !ok {
			return nil, fmt.Errorf("troupe_test: no test %d", handle)
		}
		if fn.(test)(args[1:]) {
			return int64(1), nil
		}
		return int64(0), nil
	})
	if err != nil {
		panic(err) // the name is taken, in a driver that is only ours
	}
}

// register makes a test that SQL can call, until it is released.
func register(fn test) (handle int64) {
	handle = tests.last.Add(1)
	tests.byID.Store(handle, fn)
	return handle
}

func release(handles []int64) {
	for _, h := range handles {
		tests.byID.Delete(h)
	}
}
