/* SPDX-License-Identifier: MIT */
/*
 * What the guest's ACPI interpreter is told of the machine: one PCI bus behind
 * an i440FX, a PIIX3 with its interrupt links, the ISA devices, soft-off. The
 * fixed hardware (PM timer, SCI, power button) is in the FADT (acpi.c).
 */
DefinitionBlock ("dsdt.aml", "DSDT", 1, "RINGFA", "RINGFALL", 1)
{
    /* SLP_TYP 0 with SLP_EN switches a PIIX4 off */
    Name (\_S5, Package () { 0x00, 0x00, 0x00, 0x00 })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0x00)

            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    Cacheable, ReadWrite,
                    0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    NonCacheable, ReadWrite,
                    0x00000000, 0xE0000000, 0xFEBFFFFF, 0x00000000, 0x1EC00000)
            })

/* Interrupt pins of a slot: pin A of slot n is link (n - 1) modulo 4. */
#define SLOT(n, a, b, c, d)              \
    Package () { 0x##n##FFFF, 0, a, 0 }, \
    Package () { 0x##n##FFFF, 1, b, 0 }, \
    Package () { 0x##n##FFFF, 2, c, 0 }, \
    Package () { 0x##n##FFFF, 3, d, 0 }
#define SLOT_A(n) SLOT (n, LNKA, LNKB, LNKC, LNKD)
#define SLOT_B(n) SLOT (n, LNKB, LNKC, LNKD, LNKA)
#define SLOT_C(n) SLOT (n, LNKC, LNKD, LNKA, LNKB)
#define SLOT_D(n) SLOT (n, LNKD, LNKA, LNKB, LNKC)

            Name (_PRT, Package ()
            {
                /* the PIIX: pin A of its functions is the SCI */
                SLOT (0001, LNKS, LNKB, LNKC, LNKD),
                SLOT_B (0002), SLOT_C (0003), SLOT_D (0004),
                SLOT_A (0005), SLOT_B (0006), SLOT_C (0007), SLOT_D (0008),
                SLOT_A (0009), SLOT_B (000A), SLOT_C (000B), SLOT_D (000C),
                SLOT_A (000D), SLOT_B (000E), SLOT_C (000F), SLOT_D (0010),
                SLOT_A (0011), SLOT_B (0012), SLOT_C (0013), SLOT_D (0014),
                SLOT_A (0015), SLOT_B (0016), SLOT_C (0017), SLOT_D (0018),
                SLOT_A (0019), SLOT_B (001A), SLOT_C (001B), SLOT_D (001C),
                SLOT_A (001D), SLOT_B (001E), SLOT_C (001F)
            })

            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x04)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                        IRQNoFlags () { 8 }
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () { 1 }
                    })
                }

                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () { 12 }
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 0x01)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }

                Device (PIC)
                {
                    Name (_HID, EisaId ("PNP0000"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
                        IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
                        IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                        IRQNoFlags () { 2 }
                    })
                }

                Device (TMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
                        IRQNoFlags () { 0 }
                    })
                }

                Device (DMAC)
                {
                    Name (_HID, EisaId ("PNP0200"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 0x01, 0x10)
                        IO (Decode16, 0x0081, 0x0081, 0x01, 0x0F)
                        IO (Decode16, 0x00C0, 0x00C0, 0x01, 0x20)
                        DMA (Compatibility, NotBusMaster, Transfer8_16) { 4 }
                    })
                }

                Device (SPKR)
                {
                    Name (_HID, EisaId ("PNP0800"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
                    })
                }

                Device (FPU)
                {
                    Name (_HID, EisaId ("PNP0C04"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x00F0, 0x00F0, 0x01, 0x01)
                        IRQNoFlags () { 13 }
                    })
                }

                /* power management registers; nobody else's */
                Device (SYSR)
                {
                    Name (_HID, EisaId ("PNP0C02"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                        IO (Decode16, 0x0600, 0x0600, 0x01, 0x40)
                        IO (Decode16, 0x0700, 0x0700, 0x01, 0x10)
                        IO (Decode16, 0xAFE0, 0xAFE0, 0x01, 0x04)
                    })
                }
            }
        }

/* An interrupt link: bit 7 of its PIRQ register switches it off. */
#define LINK(name, uid, register)                                          \
        Device (name)                                                      \
        {                                                                  \
            Name (_HID, EisaId ("PNP0C0F"))                                \
            Name (_UID, uid)                                               \
            Name (_PRS, ResourceTemplate ()                                \
            {                                                              \
                IRQ (Level, ActiveLow, Shared) { 5, 10, 11 }               \
            })                                                             \
            Method (_STA, 0, NotSerialized)                                \
            {                                                              \
                If (And (register, 0x80)) { Return (0x09) }                \
                Return (0x0B)                                              \
            }                                                              \
            Method (_DIS, 0, NotSerialized)                                \
            {                                                              \
                Or (register, 0x80, register)                              \
            }                                                              \
            Name (BUFF, ResourceTemplate ()                                \
            {                                                              \
                IRQ (Level, ActiveLow, Shared) { 5 }                       \
            })                                                             \
            Method (_CRS, 0, Serialized)                                   \
            {                                                              \
                CreateWordField (BUFF, 0x01, IRQM)                         \
                If (And (register, 0x80)) { Store (0x00, IRQM) }           \
                Else { ShiftLeft (0x01, And (register, 0x0F), IRQM) }      \
                Return (BUFF)                                              \
            }                                                              \
            Method (_SRS, 1, NotSerialized)                                \
            {                                                              \
                CreateWordField (Arg0, 0x01, IRQM)                         \
                Subtract (FindSetRightBit (IRQM), 0x01, Local0)            \
                Store (Local0, register)                                   \
            }                                                              \
        }

        LINK (LNKA, 0x00, \_SB.PCI0.ISA.PRQA)
        LINK (LNKB, 0x01, \_SB.PCI0.ISA.PRQB)
        LINK (LNKC, 0x02, \_SB.PCI0.ISA.PRQC)
        LINK (LNKD, 0x03, \_SB.PCI0.ISA.PRQD)

        /* the SCI is wired to IRQ 9 */
        Device (LNKS)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 0x04)
            Name (_PRS, ResourceTemplate ()
            {
                IRQ (Level, ActiveLow, Shared) { 9 }
            })
            Method (_STA, 0, NotSerialized) { Return (0x0B) }
            Method (_DIS, 0, NotSerialized) { }
            Method (_CRS, 0, NotSerialized) { Return (_PRS) }
            Method (_SRS, 1, NotSerialized) { }
        }
    }
}
