package engines_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// brokerEnv makes this program a server on that address, with its files in brokerFolder,
// until it is killed.
const (
	brokerEnv    = "TROUPE_BENCH_BROKER"
	brokerFolder = "TROUPE_BENCH_FOLDER"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(brokerEnv); address != "" {
		serve(address, os.Getenv(brokerFolder))
	}
	os.Exit(m.Run())
}

func serve(address, folder string) {
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	ns, err := server.NewServer(&server.Options{
		Host: host, Port: number, JetStream: true, StoreDir: folder, NoSigs: true, NoLog: true, SyncInterval: time.Second,
	})
	if err == nil {
		ns.Start()
		if !ns.ReadyForConnections(20 * time.Second) {
			err = fmt.Errorf("%s does not answer", address)
		}
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

// broker is a server in a process of its own, which can be killed and started again.
type broker struct {
	t               *testing.T
	address, folder string
	cmd             *exec.Cmd
}

func newBroker(t *testing.T) *broker {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, address: l.Addr().String(), folder: t.TempDir()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *broker) url() string { return "nats://" + b.address }

func (b *broker) start() {
	b.t.Helper()
	b.cmd = exec.Command(os.Args[0])
	b.cmd.Env = append(os.Environ(), brokerEnv+"="+b.address, brokerFolder+"="+b.folder)
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		b.t.Fatalf("the server says %q, %v", line, err)
	}
}

// kill ends it as kill -9 does.
func (b *broker) kill() {
	if b.cmd.ProcessState == nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
	}
}
