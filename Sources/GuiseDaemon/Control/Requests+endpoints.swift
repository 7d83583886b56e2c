import AccessControl
import CGuise
import GuiseProtocol
import Logging

/// Registered abstract names: who may listen there, and who may connect.
extension Requests {
    /// The most bytes of a name's descriptor.
    private static let largestDescriptor = 8192

    /// Takes every name of the store.
    func takeEndpoints(_ log: Logger) {
        for endpoint in accounts.endpoints() {
            // One that cannot be read any more opens to nobody.
            let descriptor =
                (try? SecurityDescriptor(sddl: endpoint.sddl, domain: accounts.machine))
                ?? SecurityDescriptor(owner: .administrators, group: .system, dacl: .present(.empty))
            if !context.names.set(endpoint.name, descriptor) {
                log.warning(
                    "somebody has a registered name", metadata: ["name": "\(quoted("@" + endpoint.name))"])
            }
        }
    }

    func addEndpoint(
        _ request: WireEndpointAdd, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        try require(client, "register an abstract name")
        var descriptor: SecurityDescriptor
        do {
            descriptor = try SecurityDescriptor(sddl: request.sddl, domain: accounts.machine)
        } catch { throw Refused(.badRequest, "\(request.sddl): \(error)") }
        guard descriptor.dacl.acl != nil, descriptor.bytes.count <= Self.largestDescriptor else {
            throw Refused(
                .badRequest,
                "the descriptor of a name needs a DACL (D:), and has at most \(Self.largestDescriptor) bytes")
        }
        descriptor.owner = descriptor.owner ?? .administrators
        descriptor.group = descriptor.group ?? .system
        // A name that is taken would be nobody's to listen at.
        let before = context.names.descriptor(of: Array(request.name.utf8))
        do {
            try RegisteredEndpoint.validate(name: request.name)
            guard context.names.set(request.name, descriptor) || before != nil else {
                context.names.remove(request.name)
                throw Refused(
                    .alreadyExists,
                    "somebody has the name \(quoted(request.name)) now; end that first, or start it anew afterwards"
                )
            }
            try accounts.addEndpoint(
                RegisteredEndpoint(
                    name: request.name, sddl: descriptor.sddl(domain: accounts.machine)))
        } catch let refused as Refused {
            throw refused
        } catch {
            if let before {
                _ = context.names.set(request.name, before)
            } else {
                context.names.remove(request.name)
            }
            throw (error as? AccountError).map { Refused($0) } ?? Refused(.internal, "\(error)")
        }
        return .done(.init())
    }

    func removeEndpoint(
        _ request: WireEndpointRemove, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        try require(client, "give a registered name up")
        do { try accounts.removeEndpoint(name: request.name) } catch { throw Refused(error) }
        context.names.remove(request.name)
        return .done(.init())
    }

    func listEndpoints(_ request: WireEndpointList) -> WireResponse.OneOf_Body {
        var page = Page<WireEndpoint>()
        for endpoint in accounts.endpoints() where endpoint.name > request.after {
            let holders = context.names.holders(of: endpoint.name)
            let view = WireEndpoint.with {
                $0.name = endpoint.name
                $0.sddl = endpoint.sddl
                $0.held = holders.isHeld
                $0.services = holders.services
            }
            guard page.add(view, size: ControlPacket.size(of: view)) else { break }
        }
        return .endpoints(
            .with {
                $0.endpoints = page.items
                $0.more = page.isFull
            })
    }

    /// Throws unless a server that accepted a connection at a registered name may listen there, and its client connect.
    func checkName(
        of socket: Int32, client: Token, server: Token, _ trail: DecisionTrail
    ) throws(Refused) {
        guard !context.names.isEmpty else { return }
        var name = [CChar](repeating: 0, count: 128)
        let length = Int(guise_unix_own_abstract_name(socket, &name, name.count))
        guard length >= 0 else { return }
        let bytes = name[..<length].map(UInt8.init(bitPattern:))
        guard let descriptor = context.names.descriptor(of: bytes) else { return }
        func allows(_ token: Token, _ right: AccessMask<FileKind>) -> Bool {
            descriptor.bytes.withUnsafeBytes {
                (try? trail.isAllowed($0, right, token, object: nil)) == true
            }
        }
        let spelled = quoted("@" + String(decoding: bytes, as: UTF8.self))
        guard allows(server, RegisteredNames.listening) else {
            throw Refused(
                .accessDenied, "the descriptor of \(spelled) does not let this service listen there (0x4)")
        }
        guard allows(client, RegisteredNames.connecting) else {
            throw Refused(
                .accessDenied, "the descriptor of \(spelled) does not let this client connect (WRITE_DATA)")
        }
    }
}
