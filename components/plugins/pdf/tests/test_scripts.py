"""The scripts of the skill with real files. Needs the Python packages of `plugin.toml`; run by
`python3 -m unittest discover components/plugins/pdf/tests`. What needs qpdf is skipped without it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import pypdfium2
from PIL import ImageChops
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject
from reportlab.pdfgen.canvas import Canvas

SCRIPTS = os.path.join(os.path.dirname(__file__), "..", "skill", "scripts")


def script(name, *arguments):
    command = [sys.executable, os.path.join(SCRIPTS, f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, value):
        with open(self.path(name), "w", encoding="utf-8") as file:
            json.dump(value, file)
        return self.path(name)

    def form(self, rotation=0):
        """A text field `name` of five letters, a check box `ok` whose on-state is `/1`, a choice."""
        canvas = Canvas(self.path("plain.pdf"), pagesize=(595, 842))
        form = canvas.acroForm
        form.textfield(name="name", x=100, y=700, width=200, height=20, maxlen=5, fieldFlags="required", tooltip="Your name")
        form.checkbox(name="ok", x=100, y=650, size=20, buttonStyle="check")
        form.choice(name="color", x=100, y=600, width=100, height=20, options=["red", "blue"], value="red")
        canvas.showPage()
        canvas.save()
        writer = PdfWriter(clone_from=self.path("plain.pdf"))
        for annotation in writer.pages[0]["/Annots"]:
            node = annotation.get_object()
            if node.get("/T") == "ok":
                for states in node["/AP"].values():
                    states = states.get_object()
                    if isinstance(states, DictionaryObject) and "/Yes" in states:
                        states[NameObject("/1")] = states.raw_get("/Yes")
                        del states["/Yes"]
        if rotation:
            writer.pages[0][NameObject("/Rotate")] = NumberObject(rotation)
        writer.write(self.path("form.pdf"))
        return self.path("form.pdf")

    def tree(self):
        """The text fields `Name`, `Spouse.Name` and `Addr.City`; the last one's type and font stand above it."""
        canvas = Canvas(self.path("plain.pdf"), pagesize=(595, 842))
        for at, name in enumerate(["Name", "Spouse.Name", "Addr.City"]):
            canvas.acroForm.textfield(name=name, x=100, y=700 - 50 * at, width=200, height=20)
        canvas.showPage()
        canvas.save()
        writer = PdfWriter(clone_from=self.path("plain.pdf"))
        tops = writer.root_object["/AcroForm"]["/Fields"]
        for reference in list(tops)[1:]:
            above, name = reference.get_object()["/T"].split(".")
            parent = DictionaryObject({NameObject("/T"): TextStringObject(above), NameObject("/Kids"): ArrayObject([reference])})
            field = reference.get_object()
            field[NameObject("/T")] = TextStringObject(name)
            if name == "City":
                for key in ("/FT", "/DA"):
                    parent[NameObject(key)] = field.pop(key)
            tops[tops.index(reference)] = field[NameObject("/Parent")] = writer._add_object(parent)
        writer.write(self.path("tree.pdf"))
        return self.path("tree.pdf")

    def fill(self, form, values, *arguments):
        """What the script says, and the file that it wrote."""
        done = script("fill_fillable_fields", form, self.write("values.json", values), "-o", self.path("out.pdf"), *arguments)
        return done, PdfReader(self.path("out.pdf")) if done.returncode == 0 else None

    def drawn(self, reader):
        """What is drawn in each place of a field, by the place's height on the page; none where nothing is."""
        notes = [note.get_object() for note in reader.pages[0]["/Annots"]]
        return {int(note["/Rect"][1]): note["/AP"]["/N"].get_data() if "/AP" in note else None for note in notes}

    def blank(self, rotation=0, size=(595, 842)):
        writer = PdfWriter()
        page = writer.add_blank_page(*size)
        page[NameObject("/Rotate")] = NumberObject(rotation)
        writer.write(self.path("blank.pdf"))
        return self.path("blank.pdf")

    def test_fields_are_filled(self):
        """examples.md #4"""
        values = self.write("values.json", {"name": "Alice", "ok": True, "zz": 1})
        done = script("fill_fillable_fields", self.form(), values, "-o", self.path("out.pdf"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("`zz`", done.stderr)
        self.assertIn("filled 2 fields", done.stdout)
        fields = PdfReader(self.path("out.pdf")).get_fields()
        self.assertEqual(fields["name"]["/V"], "Alice")
        self.assertEqual(fields["ok"]["/V"], "/1")
        states = [note.get_object().get("/AS") for note in PdfReader(self.path("out.pdf")).pages[0]["/Annots"]]
        self.assertIn("/1", states)

    def test_off_cut_and_numbers(self):
        values = self.write("values.json", {"name": 1234567, "ok": False, "color": "blue"})
        done = script("fill_fillable_fields", self.form(), values, "-o", self.path("out.pdf"))
        self.assertIn("was cut", done.stderr)
        fields = PdfReader(self.path("out.pdf")).get_fields()
        self.assertEqual((fields["name"]["/V"], fields["ok"]["/V"], fields["color"]["/V"]), ("12345", "/Off", "blue"))

    @unittest.skipUnless(shutil.which("qpdf"), "needs qpdf")
    def test_flattened_fields_are_gone(self):
        values = self.write("values.json", {"name": "Alice", "ok": True})
        done = script("fill_fillable_fields", self.form(), values, "-o", self.path("out.pdf"), "--flatten")
        self.assertEqual(done.returncode, 0, done.stderr)
        reader = PdfReader(self.path("out.pdf"))
        self.assertFalse(reader.get_fields())
        self.assertIn("Alice", reader.pages[0].extract_text())

    def test_names_that_end_alike_are_other_fields(self):
        done, reader = self.fill(self.tree(), {"Spouse.Name": "Bob", "Name": "Alice"})
        self.assertIn("filled 2 fields", done.stdout, done.stderr)
        fields = reader.get_fields()
        self.assertEqual((fields["Name"]["/V"], fields["Spouse.Name"]["/V"]), ("Alice", "Bob"))
        drawn = self.drawn(reader)
        self.assertTrue(b"(Alice)" in drawn[700] and b"(Bob)" in drawn[650], drawn)

    def test_what_a_field_inherits_is_its_own(self):
        done, reader = self.fill(self.tree(), {"Addr.City": "Haifa"})
        self.assertIn("filled 1 fields", done.stdout, done.stderr)
        city = reader.pages[0]["/Annots"][2].get_object()
        self.assertEqual(city["/V"], "Haifa")
        self.assertIn(b"(Haifa)", self.drawn(reader)[600])

    def test_letters_that_the_font_lacks_are_left_to_the_reader(self):
        for text in ("שלום", "Ада"):
            with self.subTest(text=text):
                done, reader = self.fill(self.tree(), {"Name": text, "Spouse.Name": "José (Bob)"})
                self.assertIn("filled 2 fields", done.stdout, done.stderr)
                self.assertEqual(reader.get_fields()["Name"]["/V"], text)
                drawn = self.drawn(reader)
                self.assertIsNone(drawn[700])
                self.assertIn("lack letters of Name:", done.stderr)
                self.assertIn("José \\(Bob\\)".encode("latin-1"), drawn[650])
                self.assertTrue(reader.root_object["/AcroForm"]["/NeedAppearances"])
                os.unlink(self.path("out.pdf"))
                done, _ = self.fill(self.tree(), {"Name": text}, "--flatten")
                self.assertEqual(done.returncode, 1)
                self.assertIn("Name", done.stderr)
                self.assertFalse(os.path.exists(self.path("out.pdf")), "what nobody could read is not made")

    def test_choices_show_what_they_display(self):
        canvas = Canvas(self.path("plain.pdf"), pagesize=(595, 842))
        options = [("Red", "r"), ("Blue", "b")]
        canvas.acroForm.choice(name="one", x=100, y=700, width=100, height=20, options=options, value="Red")
        canvas.acroForm.listbox(name="some", x=100, y=600, width=100, height=60, options=options, value="Red", fieldFlags="multiSelect")
        canvas.showPage()
        canvas.save()
        done, reader = self.fill(self.path("plain.pdf"), {"one": "b", "some": ["r", "b"]})
        self.assertIn("filled 2 fields", done.stdout, done.stderr)
        fields = reader.get_fields()
        self.assertEqual((fields["one"]["/V"], fields["some"]["/V"]), ("b", ["r", "b"]))
        drawn = self.drawn(reader)
        self.assertIn(b"(Blue)", drawn[700])
        self.assertTrue(b"(Red)" in drawn[600] and b"(Blue)" in drawn[600], drawn)

    def test_only_what_the_file_holds_is_counted(self):
        _, reader = self.fill(self.tree(), {"Name": "Alice\nBob", "Spouse.Name": "", "Addr.City": "\u202eשלום\x18"})
        count = "import fill_fillable_fields as it, sys; print(it.count_filled(sys.argv[1], {'Name': 'Alice', 'Spouse.Name': '', 'No': 1}))"
        command = [sys.executable, "-c", count, self.path("out.pdf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPTS)
        self.assertEqual((done.stdout, done.stderr.count("could not be filled")), ("1\n", 2), done.stderr)

    def test_without_fields(self):
        """examples.md #5"""
        done = script("check_fillable_fields", self.blank(), "--json")
        self.assertEqual(json.loads(done.stdout), {"has_fields": False, "count": 0, "fields": []})
        done = script("fill_fillable_fields", self.blank(), self.write("v.json", {}), "-o", self.path("out.pdf"))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1)
        self.assertFalse(os.path.exists(self.path("out.pdf")))

    def test_fields_are_described(self):
        listed = json.loads(script("check_fillable_fields", self.form(), "--json").stdout)
        self.assertEqual([one["type_name"] for one in listed["fields"]], ["Text", "Button/Checkbox", "Choice/Dropdown"])
        info = {one["name"]: one for one in json.loads(script("extract_form_field_info", self.form()).stdout)}
        self.assertEqual((info["name"]["max_length"], info["name"]["required"], info["name"]["page"]), (5, True, 0))
        self.assertEqual(info["name"]["rect"], [100, 700, 300, 720])
        self.assertEqual(info["name"]["tooltip"], "Your name")
        self.assertEqual(info["ok"]["on_states"], ["/1"])
        self.assertEqual(info["color"]["options"], [{"export": "red", "display": "red"}, {"export": "blue", "display": "blue"}])
        self.assertIsNone(info["name"]["options"])

    def reddest(self, path, size):
        """The middle of what is red, in points from the bottom left of the displayed page."""
        picture = pypdfium2.PdfDocument(path)[0].render(scale=2).to_pil().convert("RGB")
        self.assertEqual((picture.width, picture.height), (size[0] * 2, size[1] * 2))
        red, green, _ = picture.split()
        mask = ImageChops.multiply(red.point(lambda v: 255 * (v > 200)), green.point(lambda v: 255 * (v < 80)))
        left, top, right, bottom = mask.getbbox()
        return (left + right) / 4, size[1] - (top + bottom) / 4

    def test_text_stands_where_the_reader_sees_it(self):
        """examples.md #6, for every rotation."""
        spec = self.write("spec.json", {"page": 0, "fields": [{"x": 200, "y": 505, "value": "X", "color": [255, 0, 0]}]})
        for rotation, size in [(0, (595, 842)), (90, (842, 595)), (180, (595, 842)), (270, (842, 595))]:
            with self.subTest(rotation=rotation):
                done = script("fill_pdf_form_with_annotations", self.blank(rotation), spec, "-o", self.path("out.pdf"))
                self.assertEqual(done.returncode, 0, done.stderr)
                x, y = self.reddest(self.path("out.pdf"), size)
                self.assertAlmostEqual(x, 203.3, delta=2)
                self.assertAlmostEqual(y, 508.6, delta=2)

    def test_the_case_as_it_stands(self):
        """examples.md #6"""
        spec = self.write("spec.json", {"page": 0, "fields": [{"x": 200, "y": 705, "value": "X", "color": [255, 0, 0]}]})
        blank = self.blank(90, (842, 595))
        script("fill_pdf_form_with_annotations", blank, spec, "-o", self.path("out.pdf"))
        x, y = self.reddest(self.path("out.pdf"), (595, 842))
        self.assertTrue(abs(x - 203.3) < 2 and abs(y - 708.6) < 2, (x, y))

    def test_annotations_and_other_letters(self):
        fields = [{"x": 20, "y": 20, "value": "note"}]
        spec = self.write("spec.json", [{"fields": fields}])
        done = script("fill_pdf_form_with_annotations", self.blank(), spec, "-o", self.path("out.pdf"), "--method", "annot")
        self.assertEqual(done.returncode, 0, done.stderr)
        note = PdfReader(self.path("out.pdf")).pages[0]["/Annots"][0].get_object()
        self.assertEqual(note["/Subtype"], "/FreeText")
        self.assertEqual([float(number) for number in note["/Rect"]], [20, 20, 44, 34])
        if os.path.exists("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"):
            spec = self.write("spec.json", {"fields": [{"x": 20, "y": 20, "value": "שלום"}]})
            done = script("fill_pdf_form_with_annotations", self.blank(), spec, "-o", self.path("out.pdf"))
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_structure_of_a_printed_form(self):
        canvas = Canvas(self.path("printed.pdf"), pagesize=(595, 842))
        canvas.drawString(50, 700, "Name:")
        canvas.line(100, 698, 300, 698)
        canvas.drawString(50, 650, "City")
        canvas.rect(100, 645, 120, 20)
        canvas.drawString(50, 600, "Date ........")
        canvas.drawString(50, 550, "A long sentence that goes on and on far beyond the middle of the page and is no label")
        canvas.save()
        found = {one["label"]: one for one in json.loads(script("extract_form_structure", self.path("printed.pdf")).stdout)}
        self.assertEqual(set(found), {"Name:", "City", "Date"})
        self.assertEqual((found["Name:"]["confidence"], found["City"]["confidence"]), ("high", "medium"))
        rule = found["Name:"]["fill_rect_pdf"]
        self.assertAlmostEqual(rule[1], 698, delta=1)
        self.assertAlmostEqual(rule[2], 300, delta=1)
        box = found["City"]["fill_rect_pdf"]
        for number, expected in zip(box, (100, 645, 220, 665)):
            self.assertAlmostEqual(number, expected, delta=1)
        self.assertLessEqual(found["Date"]["fill_rect_plumber"][2], 575)

    def test_pictures(self):
        for rotation in (0, 90):
            form = self.form(rotation)
            done = script("check_bounding_boxes", form, "-o", self.path("boxes.png"))
            self.assertEqual(done.returncode, 0, done.stderr)
            values = self.write("v.json", {"name": "Al"})
            script("fill_fillable_fields", form, values, "-o", self.path("filled.pdf"))
            done = script("create_validation_image", self.path("filled.pdf"), "-o", self.path("valid.png"), "--dpi", "72")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(os.path.exists(self.path("valid.png")))
        done = script("convert_pdf_to_images", form, "-o", self.path("page"), "--pages", "1", "--dpi", "72", "--format", "jpg")
        self.assertTrue(os.path.exists(self.path("page-1.jpg")), done.stderr)
        self.assertEqual(script("convert_pdf_to_images", form, "-o", self.path("page"), "--pages", "2-3").returncode, 1)

    def test_limits(self):
        writer = PdfWriter()
        for _ in range(201):
            writer.add_blank_page(72, 72)
        writer.write(self.path("long.pdf"))
        done = script("convert_pdf_to_images", self.path("long.pdf"), "-o", self.path("page"))
        self.assertTrue(done.returncode == 1 and done.stderr.startswith("limit: 201 pages"), done.stderr)
        done = script("convert_pdf_to_images", self.blank(size=(7200, 7200)), "-o", self.path("page"), "--dpi", "150")
        self.assertTrue(done.returncode == 1 and "megapixels" in done.stderr, done.stderr)

    def test_what_is_no_pdf(self):
        text = self.write("no.pdf", {})
        for name in ("check_fillable_fields", "extract_form_field_info", "extract_form_structure"):
            done = script(name, text)
            self.assertEqual((done.returncode, len(done.stderr.strip().splitlines())), (1, 1), done.stderr)
        self.assertIn("no such file", script("check_fillable_fields", self.path("missing.pdf")).stderr)

    def test_an_empty_password_is_tried(self):
        writer = PdfWriter(clone_from=self.form())
        writer.encrypt("", "owner", algorithm="AES-256")
        writer.write(self.path("locked.pdf"))
        listed = json.loads(script("check_fillable_fields", self.path("locked.pdf"), "--json").stdout)
        self.assertEqual(listed["count"], 3)


if __name__ == "__main__":
    unittest.main()
