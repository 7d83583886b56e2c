import AccessControl
import Foundation
import Guise
import GuiseProtocol
import ToolSupport

/// An object's descriptor as the authority has it.
struct StoredDescriptor {
    let wire: WireDescriptor
    let descriptor: SecurityDescriptor

    init(_ wire: WireDescriptor) throws {
        self.wire = wire
        do {
            descriptor = try SecurityDescriptor(bytes: Array(wire.binary))
        } catch {
            throw ToolError("the descriptor of \(wire.path) is damaged: \(error)")
        }
    }
}

extension DescriptorView {
    init(_ stored: StoredDescriptor, names authority: AuthorityClient) throws {
        try self.init(
            of: stored.descriptor, at: stored.wire.path, managed: stored.wire.managed, sddl: stored.wire.sddl,
            names: authority
        ) { AccessMask<FileKind>(rawValue: $0).words }
    }
}

extension AuthorityClient {
    /// The descriptor of an object.
    func descriptor(at path: String, for intent: AccessIntent = []) throws -> StoredDescriptor {
        let path = try absolutePath(path)
        let request = WireDescriptorGet.with {
            $0.path = path
            $0.intent = UInt32(intent.rawValue)
        }
        guard case .descriptor(let found) = try call(.descriptorGet(request)) else { throw Self.surprise }
        return try StoredDescriptor(found)
    }

    /// Replaces parts of a descriptor: those that `wanted` has.
    ///
    /// - Parameter expected: what the descriptor has to be before; `nil` if that does not matter.
    func set(
        _ wanted: SecurityDescriptor, at path: String, expected: Data? = nil, for intent: AccessIntent = []
    ) throws {
        let path = try absolutePath(path)
        let request = WireDescriptorSet.with {
            $0.path = path
            $0.binary = Data(wanted.bytes)
            if let expected { $0.expected = expected }
            $0.intent = UInt32(intent.rawValue)
        }
        // The client would take too long a message for a lost connection.
        guard request.binary.count + request.expected.count + path.utf8.count < ControlPacket.largest - 64
        else {
            throw ToolError("the descriptor is too large for a message to the authority")
        }
        _ = try call(.descriptorSet(request))
    }

    /// How often a change is tried again after somebody else was quicker.
    private static var attempts: Int { 8 }

    /// Changes the DACL of an object. When somebody else changes it at the same time, once more on top of that.
    func changeDACL(
        at path: String, _ change: (StoredDescriptor) throws -> SecurityDescriptor
    ) throws {
        for attempt in 1... {
            let stored = try descriptor(at: path)
            let changed = try change(stored)
            // Nothing but the DACL: the rest may not be ours to change.
            let wanted = SecurityDescriptor(
                owner: nil, group: nil, dacl: changed.dacl,
                control: changed.control.intersection([.daclProtected, .daclAutoInherited]))
            do {
                return try set(wanted, at: path, expected: stored.wire.binary)
            } catch GuiseError.conflict(_) where attempt < Self.attempts {
                continue
            }
        }
    }

    /// The SID behind a name of any form.
    func trustee(named name: String) throws -> SID {
        guard let sid = SID(try self.sid(named: name)) else { throw Self.surprise }
        return sid
    }
}
