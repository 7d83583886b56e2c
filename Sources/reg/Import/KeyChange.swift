import AccessControl
import Registry
import RegistryModel

/// What is to become of one key.
struct KeyChange {
    let path: RegistryPath
    /// It goes, with all below it; nothing else of this counts then.
    var isDeleted = false
    var className = ""
    var isLink = false
    /// nil: it has what it inherits, or had.
    var descriptor: SecurityDescriptor?
    /// nil: that value goes.
    var values: [(name: RegistryValueName, value: RegistryValue?)] = []
    /// How many bytes the values have.
    var bytes = 0

    /// How much of what one transaction may change this takes, at most.
    var weight: Int { path.names.count + values.count + 2 }

    init(_ path: RegistryPath) { self.path = path }

    mutating func set(_ name: RegistryValueName, _ value: RegistryValue?) {
        values.append((name, value))
        bytes += value?.bytes.count ?? 0
    }

    func apply(_ registry: RegistryOptions, in transaction: RegistryTransaction) throws(RegistryError) {
        guard !isDeleted else {
            do throws(RegistryError) {
                let key = try registry.open(
                    path, for: [.delete, .enumerateSubKeys], options: .openLink, in: transaction)
                try key.delete(tree: true)
            } catch {
                // That it is not there is what the file says.
                guard case .keyNotFound = error else { throw error }
            }
            return
        }
        let key = try open(registry, in: transaction)
        if let descriptor { try key.setDescriptor(descriptor.presentParts, to: descriptor) }
        for (name, value) in values {
            if let value {
                try key.set(name.text, to: value)
            } else {
                do throws(RegistryError) { try key.deleteValue(name.text) } catch {
                    guard case .valueNotFound = error else { throw error }
                }
            }
        }
    }

    private func open(
        _ registry: RegistryOptions, in transaction: RegistryTransaction
    ) throws(RegistryError) -> RegistryKey {
        var access: RegistryAccess = values.isEmpty ? [] : .setValue
        var options: RegistryKey.Options = []
        if let descriptor {
            access.formUnion(descriptor.presentParts.neededToSet)
            options.insert(.backupRestore)
        }
        if isLink { options.insert(.createLink) }
        do throws(RegistryError) {
            return try RegistryKey.create(
                path.description, for: access, options: options, className: className, in: transaction,
                socket: registry.socket)
        } catch {
            guard case .alreadyExists = error, isLink else { throw error }
            return try registry.open(
                path, for: access, options: options.subtracting(.createLink).union(.openLink), in: transaction
            )
        }
    }
}

extension SecurityDescriptor {
    /// What this has to say.
    var presentParts: RegistryKey.SecurityParts {
        var parts: RegistryKey.SecurityParts = []
        if owner != nil { parts.insert(.owner) }
        if group != nil { parts.insert(.group) }
        if dacl != .absent { parts.insert(.dacl) }
        if sacl != .absent {
            parts.insert(
                !sacl.aces.isEmpty && sacl.aces.allSatisfy { $0.type == .mandatoryLabel } ? .label : .sacl)
        }
        return parts
    }
}

extension RegistryKey.SecurityParts {
    /// The rights that setting them takes.
    var neededToSet: RegistryAccess {
        var access: RegistryAccess = []
        if !isDisjoint(with: [.owner, .group, .label]) { access.insert(.writeOwner) }
        if contains(.dacl) { access.insert(.writeDAC) }
        if contains(.sacl) { access.insert(.accessSystemSecurity) }
        return access
    }
}
