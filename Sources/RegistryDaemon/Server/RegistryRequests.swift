import AccessControl
import Foundation
package import RegistryModel
package import RegistryProtocol

/// One client's requests as they come over the wire: hostile bytes in, answers out.
package final class RegistryRequests {
    private let session: RegistrySession
    /// For whom a request is decided.
    private let caller: () -> Caller
    /// Is told of changes that the client watches, on any thread.
    private let tell: @Sendable (_ watch: UInt64, RegistryChangeKinds) -> Void
    /// Is told that the client took an event, or watches no more.
    private let settle: (_ watch: UInt64, _ isOver: Bool) -> Void

    package init(
        _ session: RegistrySession, caller: @escaping () -> Caller,
        tell: @escaping @Sendable (UInt64, RegistryChangeKinds) -> Void,
        settle: @escaping (UInt64, Bool) -> Void
    ) {
        (self.session, self.caller, self.tell, self.settle) = (session, caller, tell, settle)
    }

    /// The answer to a request; nil for one that has none.
    package func answer(_ request: WireRegistryRequest) -> WireRegistryAnswer? {
        var answer = WireRegistryAnswer()
        do throws(RegistryError) {
            guard let body = try carryOut(request) else { return nil }
            answer.body = body
        } catch { answer.refused = WireRegistryRefusal(error) }
        answer.id = request.id
        return answer
    }

    private func carryOut(_ request: WireRegistryRequest) throws(RegistryError) -> WireRegistryAnswer
        .OneOf_Body?
    {
        let key = request.key
        switch request.body {
        case .open(let wire): return .opened(try open(key, wire))
        case .close:
            session.close(key)
            return nil
        case .query(let name):
            return .value(WireRegistryValueView(try session.value(key, RegistryValueName(name))))
        case .values(let page): return .values(try values(key, page))
        case .subkeys(let page): return .keys(try subkeys(key, page))
        case .information: return .information(WireKeyView(try session.information(key)))
        case .set(let value): try set(key, value)
        case .deleteValue(let name): try session.deleteValue(key, RegistryValueName(name))
        case .delete(let wire):
            try session.delete(key, RegistryPath.names(wire.path), tree: wire.tree, as: caller())
        case .rename(let name): try session.rename(key, to: RegistryKeyName(name), as: caller())
        case .copy(let wire):
            try session.copy(key, RegistryPath.names(wire.path), to: wire.target, as: caller())
        case .descriptor(let parts):
            return .descriptor(Data(try session.descriptor(key, SecurityParts(rawValue: parts)).bytes))
        case .setDescriptor(let wire):
            try session.setDescriptor(
                key, SecurityParts(rawValue: wire.parts), to: try descriptor(wire.descriptor), as: caller())
        case .flush: try session.flush(key)
        case .watch(let wire):
            return .watch(
                try session.watch(
                    key, kinds: RegistryChangeKinds(rawValue: wire.kinds), includingSubtree: wire.subtree,
                    tell: tell))
        case .endWatch(let watch):
            session.endWatch(watch)
            settle(watch, true)
            return nil
        case .taken(let watch):
            settle(watch, false)
            return nil
        case .begin:
            return .transaction(try session.beginTransaction(isLarge: caller().token.holds(.restore)))
        case .commit(let transaction): try session.commit(transaction)
        case .rollBack(let transaction): try session.rollBack(transaction)
        case nil:
            throw .invalid("this registry does not know the request; it may be an older one than the program")
        }
        return .done(true)
    }

    private func open(_ key: UInt64, _ wire: WireOpenKey) throws(RegistryError) -> WireKeyOpened {
        let start: RegistrySession.Start =
            key == 0
            ? .init(try RegistryPath(wire.path), transaction: wire.transaction)
            : .init(key, try RegistryPath.names(wire.path), transaction: wire.transaction)
        let desired = RegistryAccess(rawValue: wire.access)
        let options = OpenOptions(rawValue: wire.options)
        let opened =
            wire.create
            ? try session.create(
                start, desired, options: options, className: wire.className,
                descriptor: wire.descriptor.isEmpty ? nil : try descriptor(wire.descriptor), as: caller())
            : try session.open(start, desired, options: options, as: caller())
        return .with {
            $0.key = opened.handle
            $0.granted = opened.granted.rawValue
            $0.path = opened.path.description
            $0.made = opened.isNew
        }
    }

    private func descriptor(_ bytes: Data) throws(RegistryError) -> SecurityDescriptor {
        do { return try SecurityDescriptor(bytes: Array(bytes)) } catch {
            throw .invalidSecurity("these bytes are no security descriptor: \(error)")
        }
    }

    private func values(_ key: UInt64, _ page: WirePage) throws(RegistryError) -> WireValueList {
        let after = page.hasAfter_p ? try RegistryValueName(page.after) : nil
        let limit = page.limit == 0 ? Int.max : Int(page.limit)
        let values = try session.values(key, after: after, limit: limit)
        return .with { $0.values = values.map(WireRegistryValueView.init) }
    }

    private func subkeys(_ key: UInt64, _ page: WirePage) throws(RegistryError) -> WireKeyList {
        let after = page.hasAfter_p ? try RegistryKeyName(page.after) : nil
        let limit = page.limit == 0 ? Int.max : Int(page.limit)
        let keys = try session.subkeys(key, after: after, limit: limit)
        return .with { $0.keys = keys.map(WireKeyView.init) }
    }

    private func set(_ key: UInt64, _ wire: WireRegistryValueView) throws(RegistryError) {
        try session.set(
            key, RegistryValueName(wire.name),
            RegistryValue(type: RegistryValueType(rawValue: wire.type), bytes: Array(wire.data)))
    }
}

extension WireRegistryValueView {
    fileprivate init(_ record: ValueRecord) {
        self.init()
        name = record.name.text
        type = record.type.rawValue
        data = Data(record.bytes)
    }
}

extension WireKeyView {
    fileprivate init(_ record: KeyRecord) {
        self.init()
        name = record.name.text
        className = record.className
        lastWrite = record.lastWrite
        link = record.isLink
        volatile = record.isVolatile
    }
}
