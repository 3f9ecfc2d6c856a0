package topics_test

import goruntime "runtime"

func goexit() { goruntime.Goexit() }
