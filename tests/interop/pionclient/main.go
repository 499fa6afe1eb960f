// A client of pion's at a relay: allocate, let a peer in, and echo a datagram there and back.
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
	go echo(second, first.LocalAddr())
	buffer := make([]byte, 2048)
	for number := 0; number < 20; number++ {
		text := fmt.Sprintf("datagram %d", number)
		_, err = first.WriteTo([]byte(text), second.LocalAddr())
		fail(err)
		first.SetReadDeadline(time.Now().Add(2 * time.Second))
		size, from, err := first.ReadFrom(buffer)
		fail(err)
		if string(buffer[:size]) == "open" {
			size, from, err = first.ReadFrom(buffer)
			fail(err)
		}
		if string(buffer[:size]) != text || from.String() != second.LocalAddr().String() {
			fail(fmt.Errorf("%q from %s", buffer[:size], from))
		}
	}
	fmt.Println("relayed", first.LocalAddr(), second.LocalAddr())
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

func echo(conn net.PacketConn, peer net.Addr) {
	buffer := make([]byte, 2048)
	conn.WriteTo([]byte("open"), peer)
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
