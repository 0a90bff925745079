import pytest

from oddpair.retrieval import plurals
from oddpair.retrieval.plurals import find_plurals


@pytest.mark.parametrize(
    ("singular", "expected"),
    [
        ("cat", ["cats"]),
        ("bus", ["buses"]),
        ("glass", ["glasses"]),
        ("box", ["boxes"]),
        ("torch", ["torches"]),
        ("brush", ["brushes"]),
        ("butterfly", ["butterflies"]),
        ("key", ["keys"]),
        ("leaf", ["leaves"]),
        ("knife", ["knives"]),
        ("roof", ["roofs"]),
        ("giraffe", ["giraffes"]),
        ("man", ["men"]),
        ("snowman", ["snowmen"]),
        ("human", ["humans"]),
        ("child", ["children"]),
        ("mouse", ["mice"]),
        ("house", ["houses"]),
        ("tomato", ["tomatoes", "tomatos"]),
        ("radio", ["radios"]),
        ("sheep", []),
        ("fish", ["fishes"]),
        ("jellyfish", ["jellyfishes"]),
        ("cactus", ["cacti", "cactuses"]),
        ("oasis", ["oases"]),
        ("iris", ["irises"]),
        ("lens", ["lenses"]),
        ("scissors", []),
        ("glasses", []),
        ("grapes", []),
        ("dice", []),
        ("café", ["cafés"]),
        ("y", ["ys"]),
        ("747", []),
        ("кот", []),
    ],
)
def test_plurals_are_those_of_english(singular, expected):
    assert list(find_plurals(singular)) == expected


EVERYDAY = """
abacus abaci, accordion accordions, airplane airplanes, anemone anemones, aquarium aquariums, armadillo armadillos,
avocado avocados, axolotl axolotls, baby babies, banjo banjos, bass basses, beach beaches, bee bees, bench benches,
bookshelf bookshelves, box boxes, boy boys, broccoli broccolis, brush brushes, buffalo buffaloes, bus buses,
butterfly butterflies, cactus cacti, calf calves, canvas canvases, chateau chateaux, cherry cherries, child children,
church churches, city cities, compass compasses, conch conchs, couch couches, cow cows, cross crosses, crutch crutches,
curtain curtains, daisy daisies, dish dishes, doberman dobermans, donkey donkeys, dragonfly dragonflies,
dress dresses, duck ducks, eagle eagles, elf elves, fez fezzes, fireman firemen, fish fishes, flamingo flamingos,
fly flies, foot feet, fox foxes, fungus fungi, gallery galleries, gas gases, giraffe giraffes, glass glasses,
goldfish goldfishes, goose geese, grandchild grandchildren, gulf gulfs, half halves, handkerchief handkerchiefs,
harness harnesses, hat hats, hippopotamus hippopotamuses, hoof hooves, horse horses, house houses, housewife housewives,
iris irises, jellyfish jellyfishes, kangaroo kangaroos, kiss kisses, knife knives, lady ladies, larva larvae,
leaf leaves, lens lenses, library libraries, lily lilies, loaf loaves, lynx lynxes, mailbox mailboxes, man men,
mango mangoes, mantis mantises, match matches, mattress mattresses, meatloaf meatloaves, microphone microphones,
monarch monarchs, mongoose mongooses, monkey monkeys, mosquito mosquitoes, mouse mice, mussel mussels, nun nuns,
octopus octopuses, orchid orchids, ostrich ostriches, ox oxen, panda pandas, party parties, patch patches, peach peaches,
penguin penguins, penknife penknives, person people, photo photos, piano pianos, piggy piggies, platypus platypuses,
policeman policemen, pony ponies, porch porches, potato potatoes, pouch pouches, puppy puppies, quiz quizzes,
radish radishes, reef reefs, rhinoceros rhinoceroses, roof roofs, sandwich sandwiches, scarf scarves, schoolchild
schoolchildren, shaman shamans, shelf shelves, shoe shoes, sketch sketches, ski skis, snowman snowmen, stadium stadiums,
starfish starfishes, stitch stitches, strawberry strawberries, studio studios, switch switches, thief thieves,
thermos thermoses, tomato tomatoes, tooth teeth, torch torches, toy toys, tray trays, turkey turkeys, video videos,
volcano volcanoes, walrus walruses, watch watches, wave waves, werewolf werewolves, wife wives, witch witches, wolf
wolves, woman women, wrench wrenches, zoo zoos
"""


def test_everyday_nouns_have_their_plurals():
    entries = [entry.split() for entry in EVERYDAY.split(",")]
    assert len(entries) > 140
    missing = [singular for singular, plural in entries if plural not in find_plurals(singular)]
    assert missing == []


def test_no_noun_is_a_plural_of_its_plurals():
    for noun in {*plurals._IRREGULAR, *plurals._SINGULAR_IN_S, *plurals._SAME, *plurals._F_TO_VES}:
        assert not any(noun in find_plurals(plural) for plural in find_plurals(noun))
