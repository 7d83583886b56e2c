#if Hives
    import AccessControl
    import CHivex
    import Glibc
    import RegistryModel

    /// A Windows hive file (`NTUSER.DAT`, `SOFTWARE`, what `reg save` makes), read key by key, each before those below it.
    ///
    /// The tree, names and values come from hivex. Descriptors and class names, which hivex keeps to itself, are read from
    /// the same bytes here.
    ///
    /// The file is anybody's. It is read from a copy that cannot change, and no key, value or byte of data counts twice: a
    /// tree that leads back into itself, or says the same a million times, is damaged. So time and memory are bounded by
    /// the file's size.
    public final class HiveFile {
        /// Whether the file was not closed as it should have been: its last changes are in log files beside it (`.LOG1`),
        /// which are not read.
        public let isDirty: Bool

        private var records: HiveRecords
        private let hive: OpaquePointer
        /// The keys yet to come on each level of the path to where we are, the next one last.
        private var levels: [[hive_node_h]]
        private var names: [RegistryKeyName] = []
        private var seen: Set<hive_node_h> = []
        private var seenValues: Set<hive_value_h> = []
        private var dataLeft: Int

        /// Opens a hive file.
        ///
        /// - Throws: ``HiveError/system(_:)``, ``HiveError/notAHive(_:)``.
        public init(path: String) throws(HiveError) {
            records = try HiveRecords(HiveSnapshot(path: path))
            isDirty = records.isDirty
            dataLeft = records.size
            guard let opened = hivex_open(records.path, 0) else {
                throw .notAHive("\(path) is no hive that can be read (\(systemText()))")
            }
            hive = opened
            let root = hivex_root(opened)
            guard root != 0 else {
                hivex_close(opened)
                throw .notAHive("\(path) is a hive without a first key")
            }
            levels = [[root]]
        }

        deinit { hivex_close(hive) }

        /// The next key; nil when there are no more.
        ///
        /// - Throws: ``HiveError/damaged(_:)``, ``HiveError/unsayable(_:)``; there is nothing to be had after that.
        public func next() throws(HiveError) -> HiveKey? {
            while let level = levels.last, level.isEmpty { levels.removeLast() }
            guard let node = levels.last?.last else { return nil }
            let depth = levels.count - 1
            levels[depth].removeLast()
            // The first key has a name, too, which is nobody's.
            names.removeSubrange(min(names.count, max(0, depth - 1))...)
            guard seen.insert(node).inserted else { throw damaged(node, "has a key that is elsewhere, too") }
            if depth > 0 { names.append(try name(of: node)) }

            let record = try records.key(at: node)
            let values = try values(of: node)
            let children = try handles(of: node, "keys", hivex_node_children)
            guard children.isEmpty || depth + 1 < RegistryLimits.depth else {
                throw .unsayable("the file has keys deeper than \(RegistryLimits.depth)")
            }
            levels.append(children.reversed())
            return HiveKey(
                names: names, className: record.className, lastWrite: record.lastWrite, isLink: record.isLink,
                descriptor: record.descriptor, values: values)
        }

        private func name(of node: hive_node_h) throws(HiveError) -> RegistryKeyName {
            guard let text = take(hivex_node_name(hive, node), length: hivex_node_name_len(hive, node)) else {
                throw damaged(node, "has a key whose name is no text")
            }
            do { return try RegistryKeyName(text) } catch { throw .unsayable(error.description) }
        }

        private func values(of node: hive_node_h) throws(HiveError) -> [HiveKey.Value] {
            var values: [HiveKey.Value] = []
            for handle in try handles(of: node, "values", hivex_node_values) {
                guard seenValues.insert(handle).inserted else {
                    throw damaged(node, "has another key's value")
                }
                guard
                    let text = take(hivex_value_key(hive, handle), length: hivex_value_key_len(hive, handle))
                else {
                    throw damaged(node, "has a value whose name is no text")
                }
                var (type, length) = (hive_t_REG_NONE, 0)
                guard hivex_value_type(hive, handle, &type, &length) == 0, length <= dataLeft else {
                    throw damaged(node, "has a value that is larger than the file")
                }
                dataLeft -= length
                guard let data = hivex_value_value(hive, handle, &type, &length) else {
                    throw damaged(node, "has a value that cannot be read (\(systemText()))")
                }
                defer { free(data) }
                let bytes = Array(UnsafeRawBufferPointer(start: data, count: length))
                do {
                    values.append(
                        HiveKey.Value(
                            name: try RegistryValueName(text),
                            value: RegistryValue(
                                type: RegistryValueType(rawValue: type.rawValue), bytes: bytes)))
                } catch { throw .unsayable(error.description) }
            }
            return values
        }

        /// A text that hivex made for us, without anything in it where C believes it to end.
        private func take(_ text: UnsafeMutablePointer<CChar>?, length: Int) -> String? {
            guard let text else { return nil }
            defer { free(text) }
            return strlen(text) == length ? String(validatingCString: text) : nil
        }

        private func damaged(_ node: hive_node_h, _ what: String) -> HiveError {
            let path = names.map(\.text).joined(separator: "\\")
            return .damaged("the file \(what): at 0x\(String(node, radix: 16)), the key \"\(path)\"")
        }

        /// What hivex hands out as an array that ends in 0, and is ours to free.
        private func handles(
            of node: hive_node_h, _ what: String,
            _ get: (OpaquePointer?, hive_node_h) -> UnsafeMutablePointer<Int>?
        ) throws(HiveError) -> [Int] {
            guard let found = get(hive, node) else {
                throw damaged(node, "has \(what) that cannot be listed")
            }
            defer { free(found) }
            var count = 0
            while found[count] != 0 { count += 1 }
            return Array(UnsafeBufferPointer(start: found, count: count))
        }
    }
#endif
