// Two clients of pion's at a relay: allocate, let each other in, and echo datagrams there and back.
package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/turn/v4"
)

func main() {
	server, transport, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	first, err := relayed(server, transport, user, password)
	fail(err)
	second, err := relayed(server, transport, user, password)
	fail(err)
	// a write returns once its permission stands, and what comes to a relayed address before that is dropped
	_, err = second.WriteTo([]byte("open"), first.LocalAddr())
	fail(err)
	go echo(second)
	for number := 0; number < 20; number++ {
		fail(thereAndBack(first, second.LocalAddr(), fmt.Sprintf("datagram %d", number)))
	}
	fmt.Println("relayed", first.LocalAddr(), second.LocalAddr())
}

// A datagram may be lost, by a full queue of a busy machine for one: it is sent five times before that counts.
func thereAndBack(conn net.PacketConn, peer net.Addr, text string) error {
	buffer := make([]byte, 2048)
	for copies := 0; copies < 5; copies++ {
		if _, err := conn.WriteTo([]byte(text), peer); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				break
			}
			if from.String() != peer.String() {
				return fmt.Errorf("%q from %s", buffer[:size], from)
			}
			if string(buffer[:size]) == text {
				return nil
			}
		}
	}
	return fmt.Errorf("%q did not come back", text)
}

func relayed(server, transport, user, password string) (net.PacketConn, error) {
	var conn net.PacketConn
	var err error
	if transport == "tcp" {
		stream, failed := net.Dial("tcp", server)
		if failed != nil {
			return nil, failed
		}
		conn = turn.NewSTUNConn(stream)
	} else {
		conn, err = net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Conn: conn, Username: user, Password: password,
	})
	if err != nil {
		return nil, err
	}
	if err = client.Listen(); err != nil {
		return nil, err
	}
	return client.Allocate()
}

func echo(conn net.PacketConn) {
	buffer := make([]byte, 2048)
	for {
		size, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		conn.WriteTo(buffer[:size], from)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
