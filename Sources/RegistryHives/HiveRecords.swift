#if Hives
    import AccessControl
    import RegistryModel

    /// What a hive file says of its keys and hivex does not tell: descriptors, class names, whether it is a link.
    ///
    /// The layout is as reverse-engineered by many and told alike by all: a key is a cell "nk" whose fields name cells by
    /// their distance from the first bin, at 0x1000; a descriptor is in a cell "sk" that keys share. A cell begins with its
    /// size, negative when in use.
    struct HiveRecords {
        struct Key {
            var className: String?
            var lastWrite: UInt64
            var isLink: Bool
            var descriptor: SecurityDescriptor?
        }

        private static let firstBin = 0x1000
        /// The fields of "nk" before its name.
        private static let keyFields = 80
        private static let isSymbolicLink: UInt16 = 0x10
        private static let nothing = UInt32.max
        /// How many descriptors are remembered. Most hives have some dozens, shared by all their keys.
        private static let remembered = 256

        private let snapshot: HiveSnapshot
        private var descriptors: [UInt32: SecurityDescriptor] = [:]

        var path: String { snapshot.path }
        var size: Int { snapshot.size }

        init(_ snapshot: HiveSnapshot) { self.snapshot = snapshot }

        /// Whether the two sequence numbers at its beginning differ: it was being written to, and nobody finished.
        var isDirty: Bool {
            guard let start = snapshot.bytes(at: 0, count: 12) else { return true }
            return start[4..<8] != start[8..<12]
        }

        /// What the key at an offset of the file is.
        mutating func key(at offset: Int) throws(HiveError) -> Key {
            guard let cell = cell(at: offset), cell >= Self.keyFields,
                let bytes = snapshot.bytes(at: offset, count: Self.keyFields),
                bytes[4...5].elementsEqual("nk".utf8)
            else { throw Self.damaged("key", offset) }
            let nameLength = Int(bytes.number(76, as: UInt16.self))
            guard nameLength <= cell - Self.keyFields else { throw Self.damaged("key", offset) }
            return Key(
                className: try className(bytes), lastWrite: bytes.number(8, as: UInt64.self),
                isLink: bytes.number(6, as: UInt16.self) & Self.isSymbolicLink != 0,
                descriptor: try descriptor(bytes.number(48, as: UInt32.self)))
        }

        /// The bytes of a cell in use, its size among them; nil if it is none, or goes past the file's end.
        private func cell(at offset: Int) -> Int? {
            guard offset >= Self.firstBin, let bytes = snapshot.bytes(at: offset, count: 4) else {
                return nil
            }
            let size = -Int(Int32(bitPattern: bytes.number(0, as: UInt32.self)))
            return size >= 4 && size <= snapshot.size - offset ? size : nil
        }

        private func className(_ key: [UInt8]) throws(HiveError) -> String? {
            let (place, length) = (key.number(52, as: UInt32.self), Int(key.number(78, as: UInt16.self)))
            guard place != Self.nothing, length > 0 else { return nil }
            let offset = Self.firstBin + Int(place)
            guard length.isMultiple(of: 2), length / 2 <= RegistryLimits.className,
                let cell = cell(at: offset),
                cell >= 4 + length, let bytes = snapshot.bytes(at: offset + 4, count: length)
            else { throw Self.damaged("class name", offset) }
            let units = stride(from: 0, to: length, by: 2).map { bytes.number($0, as: UInt16.self) }
            guard let text = String(validating: units, as: UTF16.self) else {
                throw Self.damaged("class name", offset)
            }
            return text
        }

        private mutating func descriptor(_ place: UInt32) throws(HiveError) -> SecurityDescriptor? {
            guard place != Self.nothing else { return nil }
            if let known = descriptors[place] { return known }
            let offset = Self.firstBin + Int(place)
            guard let cell = cell(at: offset), cell >= 24, let header = snapshot.bytes(at: offset, count: 24),
                header[4...5].elementsEqual("sk".utf8)
            else { throw Self.damaged("descriptor", offset) }
            let length = Int(header.number(20, as: UInt32.self))
            // Two ACLs of 64 KiB and two SIDs are the most there can be.
            guard length <= cell - 24, length <= 1 << 18,
                let bytes = snapshot.bytes(at: offset + 24, count: length)
            else { throw Self.damaged("descriptor", offset) }
            let descriptor: SecurityDescriptor
            do { descriptor = try SecurityDescriptor(bytes: bytes) } catch {
                throw .damaged("the descriptor at 0x\(String(offset, radix: 16)) of the file: \(error)")
            }
            if descriptors.count >= Self.remembered { descriptors.removeAll(keepingCapacity: true) }
            descriptors[place] = descriptor
            return descriptor
        }

        private static func damaged(_ what: String, _ offset: Int) -> HiveError {
            .damaged("at 0x\(String(offset, radix: 16)) of the file there should be a \(what), and is none")
        }
    }

    extension [UInt8] {
        /// A little-endian number within.
        fileprivate func number<Number: FixedWidthInteger>(_ offset: Int, as: Number.Type) -> Number {
            self[offset..<offset + Number.bitWidth / 8].reversed().reduce(0) { $0 << 8 | Number($1) }
        }
    }
#endif
