package import AccessControl
package import RegistryModel

/// What a key is opened or made with (`REG_OPTION_…`).
package struct OpenOptions: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// A new key ends with the daemon (`REG_OPTION_VOLATILE`).
    package static let volatile = OpenOptions(rawValue: 1)
    /// A new key leads elsewhere (`REG_OPTION_CREATE_LINK`).
    package static let createLink = OpenOptions(rawValue: 2)
    /// To save or restore: SeBackupPrivilege and SeRestorePrivilege count (`REG_OPTION_BACKUP_RESTORE`).
    package static let backupRestore = OpenOptions(rawValue: 4)
    /// A link itself, not where it leads (`REG_OPTION_OPEN_LINK`).
    package static let openLink = OpenOptions(rawValue: 8)

    var intent: AccessIntent { contains(.backupRestore) ? [.backup, .restore] : [] }
}

/// A key that was opened.
package struct OpenedKey: Sendable {
    /// The handle.
    package let handle: UInt64
    /// What was granted.
    package let granted: RegistryAccess
    /// Where it is, links and the user's hive resolved.
    package let path: RegistryPath
    /// Whether it was made.
    package let isNew: Bool
}

extension RegistrySession {
    /// Where a path was found to lead.
    struct Place {
        var record: KeyRecord
        var path: RegistryPath
        /// The names for which there is no key.
        var missing: ArraySlice<RegistryKeyName> = []
    }

    /// Opens a key. Only the key itself is asked for the rights, as on Windows, none on the way.
    ///
    /// - Parameters:
    ///   - path: from a hive; or, with a handle, the names below its key.
    ///   - desired: the rights; `.maximumAllowed` asks for all there are.
    /// - Throws: ``RegistryError/keyNotFound(_:)``, ``RegistryError/accessDenied(_:)``,
    ///   ``RegistryError/linkUnresolved(_:)``, ``RegistryError/limitReached(_:)``.
    package func open(
        _ start: Start, _ desired: RegistryAccess, options: OpenOptions = [], as caller: Caller
    ) throws(RegistryError) -> OpenedKey {
        try check(transaction: start.transaction)
        let transaction = try transaction(of: start)
        let found = try reading(transaction) { view throws(RegistryError) in
            try find(start, view, caller, options)
        }
        guard found.missing.isEmpty else {
            guard try makeUserHive(found, caller, transaction) else { throw notFound(found) }
            return try open(start, desired, options: options, as: caller)
        }
        let granted = try caller.check(found.record, found.path, desired.withoutViews, intent: options.intent)
        let handle = try hold(
            OpenKey(
                id: found.record.id, path: found.path, granted: granted, intent: options.intent,
                transaction: transaction))
        return OpenedKey(handle: handle, granted: granted, path: found.path, isNew: false)
    }

    /// Opens a key, making it, and those above it, if it is not there. The nearest key that is there is asked for
    /// KEY_CREATE_SUB_KEY, for a link for KEY_CREATE_LINK. Whoever makes a key is granted what they ask for.
    ///
    /// - Parameter descriptor: what the new key's is to be made from, besides its parent's.
    /// - Throws: as ``open(_:_:options:as:)``; ``RegistryError/childMustBeVolatile(_:)``,
    ///   ``RegistryError/alreadyExists(_:)`` for a link, ``RegistryError/invalidSecurity(_:)``.
    package func create(
        _ start: Start, _ desired: RegistryAccess, options: OpenOptions = [], className: String = "",
        descriptor: SecurityDescriptor? = nil, as caller: Caller
    ) throws(RegistryError) -> OpenedKey {
        try check(transaction: start.transaction)
        guard className.utf16.count <= RegistryLimits.className else {
            throw .nameTooLong("a key's class name has at most \(RegistryLimits.className) UTF-16 units")
        }
        let transaction = try transaction(of: start)
        // A link is made where the path says, not where one that is there leads.
        var finding = options
        if options.contains(.createLink) { finding.insert(.openLink) }
        let found = try reading(transaction) { view throws(RegistryError) in
            try find(start, view, caller, finding)
        }
        if found.missing.isEmpty {
            guard !options.contains(.createLink) else {
                throw .alreadyExists(
                    "\(found.path) is there already; delete it first, or name the link otherwise")
            }
            return try open(start, desired, options: options, as: caller)
        }
        if try makeUserHive(found, caller, transaction) {
            return try create(
                start, desired, options: options, className: className, descriptor: descriptor, as: caller)
        }
        let granted = try grantedToMaker(desired, caller)
        let made = try changing(transaction) { view throws(RegistryError) in
            // Others may have made it meanwhile.
            let found = try find(start, view, caller, finding)
            guard !found.missing.isEmpty else { return Place?.none }
            return try make(found, view, caller, options, className, descriptor)
        }
        guard let made else {
            return try create(
                start, desired, options: options, className: className, descriptor: descriptor, as: caller)
        }
        let handle = try hold(
            OpenKey(
                id: made.record.id, path: made.path, granted: granted, intent: options.intent,
                transaction: transaction))
        return OpenedKey(handle: handle, granted: granted, path: made.path, isNew: true)
    }

    /// Where a path begins, and its names.
    package struct Start: Sendable {
        let path: RegistryPath?
        let handle: UInt64
        let names: [RegistryKeyName]
        /// The transaction; a key below an open one is in that one's.
        let transaction: UInt64

        /// A path from a hive.
        package init(_ path: RegistryPath, transaction: UInt64 = 0) {
            (self.path, handle, names, self.transaction) = (path, 0, path.names, transaction)
        }

        /// Names below an open key; none for the key itself.
        package init(_ handle: UInt64, _ names: [RegistryKeyName], transaction: UInt64 = 0) {
            (path, self.handle, self.names, self.transaction) = (nil, handle, names, transaction)
        }
    }

    private func transaction(of start: Start) throws(RegistryError) -> UInt64 {
        if start.transaction != 0 || start.path != nil { return start.transaction }
        return try open(start.handle).transaction
    }

    // MARK: Finding

    func find(
        _ start: Start, _ view: RegistryView, _ caller: Caller, _ options: OpenOptions
    ) throws(RegistryError) -> Place {
        if let path = start.path { return try find(path, view, caller, options) }
        let key = try open(start.handle)
        let place = Place(record: try record(key, view), path: key.path)
        return try walk(place, start.names[...], view, caller, options, links: 0)
    }

    private func find(
        _ path: RegistryPath, _ view: RegistryView, _ caller: Caller, _ options: OpenOptions, links: Int = 0
    ) throws(RegistryError) -> Place {
        let path = try path.resolved(for: caller.token.user)
        let id = path.hive == .machine ? RegistryEngine.machine : RegistryEngine.users
        guard let record = try view.key(id) else { throw .damaged("the hive \(path.hive.rawValue) is gone") }
        let hive = try RegistryPath(path.hive)
        return try walk(
            Place(record: record, path: hive), path.names[...], view, caller, options, links: links)
    }

    private func walk(
        _ start: Place, _ names: ArraySlice<RegistryKeyName>, _ view: RegistryView, _ caller: Caller,
        _ options: OpenOptions, links: Int
    ) throws(RegistryError) -> Place {
        var (place, names) = (start, names)
        while let name = names.first {
            guard let child = try view.child(of: place.record.id, named: name) else {
                // Its depth is told before anything is made.
                _ = try RegistryPath(place.path.hive, place.path.names + names)
                place.missing = names
                return place
            }
            names.removeFirst()
            place = Place(record: child, path: try place.path.appending(child.name))
            guard child.isLink, !names.isEmpty || !options.contains(.openLink) else { continue }
            guard links < RegistryLimits.links else {
                throw .linkUnresolved("\(place.path): links lead in a circle; change where one of them leads")
            }
            let target = try target(of: place, view)
            let whole = try RegistryPath(target.hive, target.names + names)
            return try find(whole, view, caller, options, links: links + 1)
        }
        return place
    }

    /// Where a link leads. One in a user's hive leads nowhere else: else its user could have others, who are let in
    /// elsewhere, read and write in places of the user's choice.
    private func target(of link: Place, _ view: RegistryView) throws(RegistryError) -> RegistryPath {
        let value = try view.value(of: link.record.id, named: .symbolicLink)
        guard let value, let text = RegistryValue(type: value.type, bytes: value.bytes).text,
            let target = RegistryPath(linkTarget: text)
        else {
            throw .linkUnresolved(
                "\(link.path) is a link and leads to no key: set its value SymbolicLinkValue, a REG_LINK")
        }
        guard link.path.hive == .machine || isSameUsersHive(link.path, target) else {
            throw .linkUnresolved(
                "\(link.path) is in a user's hive and leads out of it: no such link is followed")
        }
        return target
    }

    private func isSameUsersHive(_ link: RegistryPath, _ target: RegistryPath) -> Bool {
        target.hive == .users && target.names.first != nil && target.names.first == link.names.first
    }

    func notFound(_ place: Place) -> RegistryError {
        let path = place.missing.reduce("\(place.path)") { $0 + "\\" + $1.text }
        return .keyNotFound("there is no key \(path); make it, or look at the spelling")
    }

    // MARK: Making

    /// Makes the hive of the user who asks, whoever they are, when it is their own that is missing. In a transaction it is
    /// made there: that may be where it was deleted.
    private func makeUserHive(
        _ place: Place, _ caller: Caller, _ transaction: UInt64
    ) throws(RegistryError) -> Bool {
        let user = caller.token.user
        guard place.record.id == RegistryEngine.users, let name = place.missing.first,
            name == RegistryPath.user(user).name, !caller.token.isAnonymous, caller.isSessionAlive
        else { return false }
        return try changing(transaction) { view throws(RegistryError) in
            guard try view.child(of: RegistryEngine.users, named: name) == nil else { return true }
            try view.insert(
                KeyRecord(
                    id: engine.newID(volatile: false), parent: RegistryEngine.users,
                    name: try RegistryKeyName(user.description), lastWrite: RegistryEngine.now(),
                    descriptor: RegistryEngine.userDescriptor(user).bytes))
            return true
        }
    }

    private func grantedToMaker(
        _ desired: RegistryAccess, _ caller: Caller
    ) throws(RegistryError) -> RegistryAccess {
        var granted = desired.withoutViews.mapped
        if granted.contains(.maximumAllowed) {
            granted.remove(.maximumAllowed)
            granted.formUnion(.allAccess)
        }
        guard !granted.contains(.accessSystemSecurity) || caller.token.holds(.security) else {
            throw .privilegeNotHeld("ACCESS_SYSTEM_SECURITY takes SeSecurityPrivilege")
        }
        guard granted.isSubset(of: [.allAccess, .accessSystemSecurity, .synchronize]) else {
            throw .invalid("\(desired) are no rights on a key")
        }
        return granted
    }

    private func make(
        _ start: Place, _ view: RegistryView, _ caller: Caller, _ options: OpenOptions, _ className: String,
        _ descriptor: SecurityDescriptor?
    ) throws(RegistryError) -> Place {
        let right: RegistryAccess =
            options.contains(.createLink) && start.missing.count == 1 ? .createLink : .createSubKey
        _ = try caller.check(start.record, start.path, right, intent: options.intent)
        var place = start
        while let name = place.missing.popFirst() {
            let isLast = place.missing.isEmpty
            let path = try place.path.appending(name)
            let record = KeyRecord(
                id: engine.newID(volatile: options.contains(.volatile)), parent: place.record.id,
                name: try checked(name, place.record), className: isLast ? className : "",
                lastWrite: RegistryEngine.now(), isLink: isLast && options.contains(.createLink),
                descriptor: try inherited(place.record, isLast ? descriptor : nil, caller))
            guard record.isVolatile || !place.record.isVolatile else {
                throw .childMustBeVolatile(
                    "\(place.path) is volatile, and so are all keys below it: make it volatile")
            }
            try view.insert(record)
            place = Place(record: record, path: path, missing: place.missing)
        }
        return place
    }

    /// That a key may have a name: directly below Users there are users' hives.
    func checked(_ name: RegistryKeyName, _ parent: KeyRecord) throws(RegistryError) -> RegistryKeyName {
        guard parent.id != RegistryEngine.users || SID(name.text) != nil else {
            throw .invalidName(
                "\(name) is no SID: below Users each key is the hive of a user, named by the SID")
        }
        return name
    }

    func inherited(
        _ parent: KeyRecord, _ creator: SecurityDescriptor?, _ caller: Caller
    ) throws(RegistryError) -> [UInt8] {
        let above: SecurityDescriptor
        do { above = try SecurityDescriptor(bytes: parent.descriptor) } catch {
            throw .damaged(
                "the descriptor of \(parent.name) is no use (\(error)): an administrator sets another")
        }
        do throws(InheritanceError) {
            return try SecurityDescriptor.inheriting(
                parent: above, creator: creator, isContainer: true, token: caller.token,
                mapping: RegistryKeyKind.genericMapping
            ).bytes
        } catch {
            throw .invalidSecurity("the key cannot have this descriptor: \(error)")
        }
    }
}

extension RegistryPath {
    /// Reads where a link leads: a path from a hive, also with the `\Registry\` of Windows in front.
    init?(linkTarget text: String) {
        var parts = RegistryPath.parts(text)
        if parts.count > 2, parts[0].isEmpty, parts[1].lowercased() == "registry" {
            parts.removeFirst(2)
            if parts[0].lowercased() == "user" { parts[0] = "Users" }
        }
        guard let path = try? RegistryPath(parts.joined(separator: "\\")) else { return nil }
        self = path
    }
}
