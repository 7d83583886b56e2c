import AccessControl
package import RegistryModel

extension RegistrySession {
    /// What a key is, without its values; takes KEY_QUERY_VALUE.
    package func information(_ handle: UInt64) throws(RegistryError) -> KeyRecord {
        let key = try open(handle, for: .queryValue)
        return try reading(key.transaction) { view throws(RegistryError) in try record(key, view) }
    }

    /// A page of the keys below, in the order of their folded names; takes KEY_ENUMERATE_SUB_KEYS. Who may list a key is
    /// told the names of all keys below it, as on Windows.
    ///
    /// - Parameter after: the last name of the page before; nil for the first one.
    package func subkeys(
        _ handle: UInt64, after: RegistryKeyName?, limit: Int = .max
    ) throws(RegistryError) -> [KeyRecord] {
        let key = try open(handle, for: .enumerateSubKeys)
        return try reading(key.transaction) { view throws(RegistryError) in
            _ = try record(key, view)
            return try view.children(
                of: key.id, after: after?.folded, limit: min(max(limit, 1), limits.page))
        }
    }

    /// Deletes an open key, or one below it; takes DELETE on that key. With its tree, DELETE and KEY_ENUMERATE_SUB_KEYS on
    /// every key that goes, or nothing is deleted.
    ///
    /// - Throws: ``RegistryError/hasSubkeys(_:)``, ``RegistryError/keyNotFound(_:)``, ``RegistryError/accessDenied(_:)``.
    package func delete(
        _ handle: UInt64, _ names: [RegistryKeyName] = [], tree: Bool = false, as caller: Caller
    ) throws(RegistryError) {
        let key = try open(handle)
        try changing(key.transaction) { view throws(RegistryError) in
            let place: Place
            if names.isEmpty {
                _ = try open(handle, for: tree ? [.delete, .enumerateSubKeys] : .delete)
                place = Place(record: try record(key, view), path: key.path)
            } else {
                // A link goes, not where it leads.
                place = try find(Start(handle, names), view, caller, .openLink)
                guard place.missing.isEmpty else { throw notFound(place) }
                _ = try caller.check(
                    place.record, place.path, tree ? [.delete, .enumerateSubKeys] : .delete,
                    intent: key.intent)
            }
            guard place.record.parent != 0 else {
                throw .accessDenied("\(place.path) is a hive: it is not deleted; delete the keys in it")
            }
            if tree {
                try deleteTree(place, view, caller, key.intent)
            } else {
                guard try view.children(of: place.record.id, limit: 1).isEmpty else {
                    throw .hasSubkeys("\(place.path) has keys below it: delete the tree")
                }
                try view.delete(place.record)
            }
        }
    }

    private func deleteTree(
        _ place: Place, _ view: RegistryView, _ caller: Caller, _ intent: AccessIntent
    ) throws(RegistryError) {
        // What is deleted is not listed any more.
        while true {
            let page = try view.children(of: place.record.id, limit: limits.page)
            guard !page.isEmpty else { break }
            for child in page {
                let path = try place.path.appending(child.name)
                _ = try caller.check(child, path, [.delete, .enumerateSubKeys], intent: intent)
                try deleteTree(Place(record: child, path: path), view, caller, intent)
            }
        }
        try view.delete(place.record)
    }

    /// Gives a key another name; takes DELETE on it, and KEY_CREATE_SUB_KEY on the key above.
    ///
    /// - Throws: ``RegistryError/alreadyExists(_:)``, ``RegistryError/accessDenied(_:)``.
    package func rename(
        _ handle: UInt64, to name: RegistryKeyName, as caller: Caller
    ) throws(RegistryError) {
        let key = try open(handle, for: .delete)
        try changing(key.transaction) { view throws(RegistryError) in
            var record = try record(key, view)
            guard let parent = try view.key(record.parent), let above = key.path.parent else {
                throw .accessDenied("\(key.path) is a hive: its name stays")
            }
            _ = try caller.check(parent, above, .createSubKey, intent: key.intent)
            if let other = try view.child(of: parent.id, named: name), other.id != record.id {
                throw .alreadyExists("there is a key \(name) in \(above) already; choose another name")
            }
            record.name = try checked(name, parent)
            record.lastWrite = RegistryEngine.now()
            try view.update(record)
        }
    }

    /// Copies the values and the tree below a key into another key; takes KEY_READ on all that is copied, KEY_SET_VALUE and
    /// KEY_CREATE_SUB_KEY on the other key. What the copies may be used for they inherit there. Links are copied as links.
    ///
    /// - Throws: ``RegistryError/accessDenied(_:)``, ``RegistryError/invalid(_:)`` for a copy into itself.
    package func copy(
        _ source: UInt64, _ names: [RegistryKeyName], to target: UInt64, as caller: Caller
    ) throws(RegistryError) {
        let (from, to) = (try open(source), try open(target, for: [.setValue, .createSubKey]))
        guard from.transaction == to.transaction else {
            throw .invalid("both keys have to be opened in the same transaction, or neither in one")
        }
        try changing(to.transaction) { view throws(RegistryError) in
            let place = try find(Start(source, names), view, caller, .openLink)
            guard place.missing.isEmpty else { throw notFound(place) }
            if names.isEmpty {
                _ = try open(source, for: .allRead)
            } else {
                _ = try caller.check(place.record, place.path, .allRead, intent: from.intent)
            }
            let goal = Place(record: try record(to, view), path: to.path)
            guard try !isWithin(goal.record, place.record.id, view) else {
                throw .invalid("\(place.path) cannot be copied into itself; name a key elsewhere")
            }
            guard !place.record.isLink, !goal.record.isLink else {
                throw .invalid("a link has no tree to copy; make another link")
            }
            try copyTree(place, into: goal, view, caller, from.intent)
        }
    }

    /// Whether a key is another one or below it. Paths do not tell: a key above may have got another name.
    private func isWithin(_ record: KeyRecord, _ id: KeyID, _ view: RegistryView) throws(RegistryError)
        -> Bool
    {
        var next: KeyRecord? = record
        while let one = next {
            if one.id == id { return true }
            next = one.parent == 0 ? nil : try view.key(one.parent)
        }
        return false
    }

    private func copyTree(
        _ source: Place, into goal: Place, _ view: RegistryView, _ caller: Caller, _ intent: AccessIntent
    ) throws(RegistryError) {
        try copyValues(of: source.record, to: goal.record, view)
        guard !source.record.isLink else { return }
        var after: [UInt8]?
        while true {
            let page = try view.children(of: source.record.id, after: after, limit: limits.page)
            guard let end = page.last else { return }
            for child in page {
                let path = try source.path.appending(child.name)
                _ = try caller.check(child, path, .allRead, intent: intent)
                let copy = try copy(child, into: goal, view, caller, intent)
                try copyTree(Place(record: child, path: path), into: copy, view, caller, intent)
            }
            after = end.name.folded
        }
    }

    /// The key of the same name below the goal, made if it is not there.
    private func copy(
        _ child: KeyRecord, into goal: Place, _ view: RegistryView, _ caller: Caller, _ intent: AccessIntent
    ) throws(RegistryError) -> Place {
        let path = try goal.path.appending(child.name)
        if let there = try view.child(of: goal.record.id, named: child.name) {
            guard there.isLink == child.isLink else {
                throw .alreadyExists(
                    "\(path) is there already, and one of the two is a link; delete it first")
            }
            _ = try caller.check(there, path, [.setValue, .createSubKey], intent: intent)
            return Place(record: there, path: path)
        }
        _ = try caller.check(
            goal.record, goal.path, child.isLink ? .createLink : .createSubKey, intent: intent)
        let record = KeyRecord(
            id: engine.newID(volatile: goal.record.isVolatile || child.isVolatile), parent: goal.record.id,
            name: try checked(child.name, goal.record), className: child.className,
            lastWrite: RegistryEngine.now(), isLink: child.isLink,
            descriptor: try inherited(goal.record, nil, caller))
        try view.insert(record)
        return Place(record: record, path: path)
    }

    private func copyValues(
        of source: KeyRecord, to goal: KeyRecord, _ view: RegistryView
    ) throws(RegistryError) {
        var after: [UInt8]?
        while true {
            let page = try view.values(
                of: source.id, after: after, limit: limits.page, bytes: limits.pageBytes)
            guard let end = page.last else { return }
            for value in page { try view.set(value, of: goal.id) }
            after = end.name.folded
        }
    }

    /// Makes durable what is not yet.
    package func flush(_ handle: UInt64) throws(RegistryError) {
        _ = try open(handle)
        try engine.flush()
    }
}
