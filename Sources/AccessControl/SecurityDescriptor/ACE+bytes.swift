extension ACE {
    /// The size of the binary form, header included.
    public var byteCount: Int {
        switch body {
        case .opaque(let bytes): 4 + bytes.count
        case .entry(let entry):
            8 + entry.sid.byteCount + entry.applicationData.count + (entry.object.map(\.byteCount) ?? 0)
        }
    }

    /// Appends the binary form (MS-DTYP 2.4.4).
    func append(to out: inout [UInt8]) {
        out.append(type.rawValue)
        out.append(flags.rawValue)
        out.appendLittleEndian(UInt16(truncatingIfNeeded: byteCount))
        switch body {
        case .opaque(let bytes): out += bytes
        case .entry(let entry):
            out.appendLittleEndian(entry.mask)
            if let object = entry.object {
                out.appendLittleEndian(object.wireFlags)
                if let guid = object.objectType { out += guid.bytes }
                if let guid = object.inheritedObjectType { out += guid.bytes }
            }
            entry.sid.append(to: &out)
            out += entry.applicationData
        }
    }

    /// Copies an entry out of a validated list.
    init(_ raw: RawACE) {
        let bytes = UnsafeRawBufferPointer(start: raw.start, count: raw.size)
        type = raw.type
        flags = raw.flags
        guard raw.type.layout != .opaque else {
            body = .opaque(Array(bytes.dropFirst(4)))
            return
        }
        var object: ObjectPart?
        if raw.type.layout == .object {
            let wire = raw.objectFlags
            object = ObjectPart(
                reservedFlags: wire & ~3, objectType: raw.objectType,
                inheritedObjectType: raw.inheritedObjectType)
        }
        body = .entry(
            Entry(
                mask: raw.mask, sid: raw.sid.copied, object: object,
                applicationData: Array(raw.applicationData)))
    }
}

extension ACE.ObjectPart {
    var byteCount: Int { 4 + (objectType == nil ? 0 : 16) + (inheritedObjectType == nil ? 0 : 16) }
}
