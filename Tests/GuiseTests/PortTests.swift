import CGuise
import Foundation
import GuiseProtocol
import Testing

/// Ports below 1024. Each test has an address of its own: all of 127.0.0.0/8 is this machine's.
@Suite("Privileged ports", .asRoot)
struct PortTests {
    private static let privilege = "SeBindPrivilegedPortPrivilege"

    private func address() -> String {
        "127.\(UInt8.random(in: 1...254)).\(UInt8.random(in: 0...255)).\(UInt8.random(in: 1...254))"
    }

    /// A service and a client of it, each with the privilege or without.
    private func onScene(
        service: Bool, client: Bool, _ body: (Stage, Service, Client) throws -> Void
    ) throws {
        try onStage { (stage) throws in
            let account = try stage.service(
                "files", privileges: ["SeImpersonatePrivilege"] + (service ? [Self.privilege] : []))
            let alice = try stage.user("alice")
            if client {
                try stage.ask(
                    .accountChange(
                        .with {
                            $0.name = "alice"; $0.grant = [Self.privilege]
                        }))
            }
            let running = try stage.serve(account)
            try body(stage, running, try running.client(alice))
        }
    }

    @Test("are bound by a service that holds the privilege, and refused without it")
    func service() throws {
        let address = address()
        for type in ["stream", "datagram", "mptcp"] {
            try onScene(service: true, client: false) { (stage, _, client) throws in
                let bound = try client.ask("bind-port \(type) \(address):81")
                #expect(bound.number == 81, "\(type): \(bound)")
                #expect(try client.ask("bind-port \(type) \(address):81").errno == EADDRINUSE)
                // The client holds nothing.
                #expect(try client.acting("bind-port \(type) \(address):82").errno == EACCES)
                try stage.waitForAudit("access-denied", "\"bind\"", Self.privilege)
                #expect(try client.acting("bind-port \(type) \(address):0").number ?? 0 >= 1024)
                #expect(try client.acting("bind-port \(type) \(address):2049").number == 2049)
            }
            try onScene(service: false, client: true) { (_, _, client) throws in
                #expect(try client.ask("bind-port \(type) \(address):83").errno == EACCES)
                #expect(try client.ask("bind-port \(type) \(address):0").number ?? 0 >= 1024)
                #expect(try client.acting("bind-port \(type) \(address):83").number == 83)
                _ = try client.ask("impersonate identification")
                #expect(try client.ask("bind-port \(type) \(address):84").errno == EACCES)
                _ = try client.ask("revert")
            }
        }
    }

    @Test("of IPv6 are bound in the same way")
    func version6() throws {
        try onScene(service: true, client: false) { (_, _, client) throws in
            // ::1 is everybody's on this machine.
            for type in ["stream", "datagram"] {
                var taken = try client.ask("bind-port \(type) [::1]:\(Int.random(in: 600...1023))")
                for _ in 0..<20 where taken.errno == EADDRINUSE {
                    taken = try client.ask("bind-port \(type) [::1]:\(Int.random(in: 600...1023))")
                }
                #expect((600...1023).contains(taken.number ?? 0), "\(type): \(taken)")
            }
            #expect(try client.acting("bind-port stream [::1]:599").errno == EACCES)
        }
    }

    @Test("of somebody else are not to be had, however they are asked for")
    func others() throws {
        let address = address()
        try onScene(service: true, client: false) { (stage, service, client) throws in
            // Root's own, shared among root's sockets, on one address and on all.
            for (host, type) in [(address, SOCK_STREAM), (address, SOCK_DGRAM), ("0.0.0.0", SOCK_STREAM)] {
                let port = host == "0.0.0.0" ? Int.random(in: 300...599) : 85
                let own = socket(AF_INET, Int32(type.rawValue), 0)
                defer { close(own) }
                var on: Int32 = 1
                setsockopt(own, SOL_SOCKET, SO_REUSEPORT, &on, socklen_t(MemoryLayout<Int32>.size))
                var bytes = [UInt8](repeating: 0, count: 16)
                bytes[0] = UInt8(AF_INET)
                (bytes[2], bytes[3]) = (UInt8(port >> 8), UInt8(port & 255))
                let parts = host.split(separator: ".").map { UInt8($0)! }
                bytes.replaceSubrange(4..<8, with: parts)
                try #require(guise_socket_bind(own, bytes, 16) == 0)
                let name = type == SOCK_STREAM ? "stream" : "datagram"
                if type == SOCK_STREAM { try #require(listen(own, 1) == 0) }
                for wanted in [host, address, "0.0.0.0"] {
                    let answer = try client.ask("bind-port \(name) \(wanted):\(port) reuseport")
                    #expect(answer.errno == EADDRINUSE, "\(name) \(wanted): \(answer)")
                }
            }
            // The service's own sockets share, as they would anywhere.
            #expect(try client.ask("bind-port stream \(address):86 reuseport").number == 86)
            #expect(try client.ask("bind-port stream \(address):86 reuseport").number == 86)
        }
    }

    @Test("stay closed to an address that changes while it is looked at, and to sockets that are swapped")
    func attacked() throws {
        let address = address()
        try onScene(service: false, client: true) { (_, _, client) throws in
            let ports = try client.ask("bind-rewriting \(address):2087 \(address):87 2000").value
            // What is half of one address and half of the other may be bound too, but nothing that is kept.
            let bound = (ports ?? "").split(separator: ",").map { Int($0) ?? 0 }
            #expect(bound.contains(2087) && bound.allSatisfy { $0 >= 1024 }, "\(ports ?? "nothing")")
        }
        try onScene(service: true, client: false) { (_, _, client) throws in
            let ports = try client.ask("bind-rewriting \(address):88 \(address):89 500").value
            #expect(["88", "89", "88,89"].contains(ports ?? ""))
            let outcome = try client.ask("bind-swapping \(address):90 \(address):91 500").value
            #expect(outcome?.hasSuffix(" 0") == true, "\(outcome ?? "nothing")")
            // Sockets that have no ports: the kernel's own refusal. Netlink, packet and raw ones.
            for (family, type) in [(AF_NETLINK, 3), (AF_UNIX, 1), (AF_PACKET, 3), (AF_INET, 3)] {
                let answer = try client.ask("bind-foreign \(family) \(type) \(address):92")
                #expect(answer.errno != nil || answer.value?.hasPrefix("no socket") == true, "\(answer)")
            }
            // An address that is not this machine's, and one that is cut short.
            #expect(try client.ask("bind-port stream 192.0.2.1:93").errno == EADDRNOTAVAIL)
            let socket = try #require(try client.ask("socket stream").number)
            #expect(try client.ask("syscall \(SYS_bind) \(socket) #4 4").errno != nil)
            #expect(try client.ask("syscall \(SYS_bind) -1 #16 16").errno == EBADF)
        }
    }
}
