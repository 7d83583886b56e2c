public import AccessControl
import CGuise
import Glibc
import GuiseProtocol
import Synchronization
public import SystemPackage

extension NamedPipe {
    /// A process's part in serving a pipe. Clients arrive captured.
    ///
    /// The pipe goes with the last of its servers and their clients.
    public final class Server: Sendable {
        /// Readable when a client has arrived, to poll it. It belongs to this server.
        public let fileDescriptor: FileDescriptor
        private let authority: Authority
        private let number: UInt64
        private let closed = Atomic(false)

        /// Makes a pipe, or joins those who serve it already, which takes FILE_CREATE_PIPE_INSTANCE (0x4) of the pipe's
        /// descriptor beside what the direction takes. Decided with the token of the calling thread.
        ///
        /// Corresponds to `CreateNamedPipe`, once for any number of instances.
        ///
        /// - Parameters:
        ///   - name: see ``NamedPipe``.
        ///   - mode: whether messages keep their boundaries. All servers of a name say the same of mode, direction and
        ///     instances.
        ///   - direction: who may send.
        ///   - maximumInstances: how many clients may be served at once, by all servers of the name; 1 to 254, or
        ///     ``NamedPipe/unlimitedInstances``.
        ///   - securityDescriptor: of a new pipe. nil, or one without a DACL: full access for SYSTEM, Administrators and
        ///     the owner, and reading for Everyone.
        ///   - isFirst: refuse to join others (`FILE_FLAG_FIRST_PIPE_INSTANCE`).
        ///   - authority: nil for ``Authority/current``.
        /// - Throws: ``GuiseError/accessDenied(_:)``, ``GuiseError/alreadyExists(_:)`` with `isFirst`,
        ///   ``GuiseError/busy(_:)`` when there are as many servers as instances, ``GuiseError/invalid(_:)``,
        ///   ``GuiseError/limitReached(_:)``, ``GuiseError/notAttached(_:)``.
        public init(
            name: String, mode: Mode = .byte, direction: Direction = .duplex,
            maximumInstances: Int = unlimitedInstances, securityDescriptor: SecurityDescriptor? = nil,
            isFirst: Bool = false, authority: Authority? = nil
        ) throws(GuiseError) {
            guard (1...unlimitedInstances).contains(maximumInstances) else {
                throw .invalid("maximumInstances: must be from 1 to 254, or NamedPipe.unlimitedInstances")
            }
            self.authority = if let authority { authority } else { try .required() }
            let handle = try ThreadIdentity.handle(in: self.authority)
            let request = WirePipeCreate.with {
                $0.name = name
                $0.messages = mode == .message
                $0.direction =
                    switch direction {
                    case .inbound: .inbound
                    case .outbound: .outbound
                    case .duplex: .duplex
                    }
                $0.maximumInstances = UInt32(maximumInstances)
                $0.first = isFirst
                if let securityDescriptor { $0.binary = .init(securityDescriptor.bytes) }
                $0.handle = handle
            }
            let (body, descriptor) = try self.authority.client.exchange(.pipeCreate(request))
            guard case .pipeCreated(let created) = body, let descriptor else {
                if let descriptor { Glibc.close(descriptor) }
                throw .authorityFailed("the authority's answer to making a pipe makes no sense")
            }
            number = created.server
            fileDescriptor = FileDescriptor(rawValue: descriptor)
        }

        deinit {
            close()
            // Those who arrived and were not accepted.
            _ = fcntl(fileDescriptor.rawValue, F_SETFL, O_NONBLOCK)
            while true {
                do throws(GuiseError) { _ = try next() } catch .noDescriptors { continue } catch { break }
            }
            Glibc.close(fileDescriptor.rawValue)
        }

        /// Waits for a client. It has been captured: whoever it was when it connected, it is still, also when it is
        /// gone by now.
        ///
        /// Corresponds to `ConnectNamedPipe`.
        ///
        /// - Throws: ``GuiseError/authorityLost(_:)``; ``GuiseError/closed(_:)`` after ``close()``;
        ///   ``GuiseError/system(call:errno:)``, with EAGAIN where the descriptor was made non-blocking and nobody is
        ///   there, and with EMFILE where a client was turned away because the process may have no more descriptors.
        public func accept() throws(GuiseError) -> Connection { try next() }

        private func next() throws(GuiseError) -> Connection {
            let received: ControlPacket.Received<WireCaptured>
            do throws(ControlPacket.Failure) {
                received = try ControlPacket.receive(
                    WireCaptured.self, from: fileDescriptor.rawValue, mayLoseDescriptor: true)
            } catch {
                switch error {
                case .system(let errno): throw .system(call: "accept on a pipe", errno: errno)
                case .closed where closed.load(ordering: .acquiring):
                    throw .closed("this server of the pipe was closed")
                case .closed, .malformed:
                    throw .authorityLost("the authority is gone; restart this service once guised runs again")
                }
            }
            // Whatever comes of it, it gives back the instance when it is let go of.
            let capture = Capture(received.message, by: authority.client, authority)
            guard let socket = received.descriptor else {
                guard !received.isDescriptorLost else { throw .noDescriptors }
                throw .authorityFailed("the authority sent a client without its connection")
            }
            return Connection(server: socket, capture)
        }

        /// Takes no more clients; those that were accepted stay connected. Who has arrived and was not accepted can
        /// still be.
        public func close() {
            guard !closed.exchange(true, ordering: .acquiringAndReleasing) else { return }
            _ = try? authority.client.call(.pipeClose(.with { $0.server = number }))
        }
    }
}
